"""Every recording of VeLO, Celo, Celo-Adam, small_fc_lopt and muLO is met, step by step.

The rule is chosen from the json beside each npz, so a further recording needs no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optimizers import weights
from optimizers.learned.celo import celo, celo_adam, schedule
from optimizers.learned.mlp_lopt import mlp_lopt
from optimizers.learned.mulo import mulo
from optimizers.learned.parts.accumulators import Diagonal
from optimizers.learned.velo import per_tensor, velo
from optimizers.weights import files

RULES = {  # by the file of the reference that was recorded
    "velo.py": "velo",
    "hyper_v2.py": "velo",
    "celo.py": "celo",
    "celo_adam.py": "celo-adam",
    "adafac_mlp_lopt.py": "mlp-lopt",
    "mup_adafac_mlp_lopt.py": "mulo",
}


class Recording(NamedTuple):
    name: str
    rule: str
    json: dict[str, Any]
    arrays: dict[str, np.ndarray]
    theta: weights.Theta

    def part(self, prefix: str) -> dict[str, np.ndarray]:
        found = {key: array for key, array in self.arrays.items() if key.startswith(prefix)}
        return {key.removeprefix(prefix): array for key, array in found.items()}


def recordings(folder: Path, without: Path | None = None) -> Iterator[Recording]:
    for path in sorted(folder.glob("*.json")):
        about = json.loads(path.read_text())
        rule = RULES.get(Path(about.get("source", {}).get("file", "")).name)
        if rule is None or (without is not None and (without / path.name).exists()):
            continue
        with np.load(folder / about["file"]) as archive:
            arrays = dict(archive)
        source = about["theta_file"]
        theta = weights.load(folder / source.get("path", source.get("file")), rule)
        yield Recording(path.stem, rule, about, arrays, theta)


def build(recording: Recording):
    config, theta, num_steps = (
        recording.json["config"],
        recording.theta,
        recording.json["num_steps"],
    )
    if recording.rule == "velo":
        return velo(
            num_steps,
            theta,
            ff_mult=float(str(config["ff_mult"]).split()[0]),
            legacy_loss_features=config["use_bugged_loss_features"],
            legacy_lstm_state=config["use_bugged_next_lstm_state"],
        )
    if recording.rule == "celo":
        return celo(num_steps, theta)
    if recording.rule == "celo-adam":
        return celo_adam(num_steps, theta)
    if recording.rule == "mlp-lopt":
        return mlp_lopt(theta, step_mult=config["step_mult"])
    return mulo(
        theta,
        multipliers=recording.part("mup_lrs/"),
        step_mult=config["step_mult"],
        clip_norm=1.0 if config["clip_grad"] else None,
    )


def probes(recording: Recording, state, params, loss) -> dict[str, Any]:
    """What the per-tensor network read and decided, where the rule has one."""
    num_steps = recording.json["num_steps"]
    if recording.rule == "velo":
        tensors = per_tensor(
            recording.theta,
            state,
            params,
            loss,
            num_steps,
            legacy_loss_features=recording.json["config"]["use_bugged_loss_features"],
        )
        return {
            "lstm_in": tensors.inputs,
            "loss_features": tensors.loss_features,
            "controls": tensors.controls,
            "lr_mult": tensors.lr_mult,
        }
    if recording.rule in ("celo", "celo-adam"):
        scheduled = schedule(recording.theta, state.schedule, loss, num_steps)
        return {
            "lstm_in": scheduled.inputs,
            "loss_features": scheduled.inputs[0, 9:],
            "lr_mult": scheduled.lr_mult,
        }
    return {}


def final_state(recording: Recording, state) -> Iterator[tuple[str, np.ndarray]]:
    """Ours under the recording's names; its decay axis is last, ours first."""
    scheduled = state.schedule if recording.rule in ("celo", "celo-adam") else state
    yield "iteration", scheduled.step
    if recording.rule in ("velo", "celo", "celo-adam"):
        yield "lstm/hidden", scheduled.lstm.hidden
        yield "lstm/cell", scheduled.lstm.cell
        yield "loss_buffer/means", scheduled.loss.means
        yield "loss_buffer/running_min", scheduled.loss.running_min
    if recording.rule == "celo-adam":  # it keeps no factored second moment: nothing reads one
        momenta, second, factored = state.momentum, state.second, {}
    else:
        momenta, second, factored = state.averages
    for path, m in momenta.items():
        yield f"mom/{path}", np.moveaxis(m, 0, -1)
        yield f"rms/{path}", np.asarray(second[path])[..., None]
    for path, v in factored.items():
        if isinstance(v, Diagonal):
            yield f"v_diag/{path}", np.moveaxis(v.v, 0, -1)
        else:
            yield f"v_row/{path}", np.moveaxis(v.row, 0, -1)
            yield f"v_col/{path}", np.moveaxis(v.col, 0, -1)


def assert_met(recording: Recording) -> None:
    arrays, tolerance = recording.arrays, recording.json["tolerance"]
    optimizer = build(recording)

    @jax.jit
    def step(grads, state, params, loss):
        updates, after = optimizer.update(grads, state, params, value=loss)
        return probes(recording, state, params, loss), jax.tree.map(jnp.add, params, updates), after

    params = {path: jnp.asarray(leaf) for path, leaf in recording.part("params/").items()}
    assert sorted(params) == recording.json["leaf_order"]
    state = jax.jit(optimizer.init)(params)
    for number, loss in enumerate(arrays["loss"]):
        prefix = f"step{number:02d}/"
        found, params, state = step(recording.part(f"{prefix}grads/"), state, params, loss)
        for name, expected in recording.part(f"{prefix}probe/").items():
            if name in found:
                deviation = np.abs(found[name] - expected).max()
                assert deviation <= tolerance["probe_atol"], (number, name)
        for path, after in recording.part(f"{prefix}params_after/").items():
            deviation = np.abs(params[path] - after).max()
            assert deviation <= tolerance["params_after_atol"][path], (number, path)
    for name, ours in final_state(recording, state):
        theirs = arrays[f"final/{name}"]
        ours = np.broadcast_to(ours, theirs.shape) if "lstm" in name else ours.reshape(theirs.shape)
        bound = tolerance["accumulators_rtol_of_leaf_max"] * np.abs(theirs).max()
        assert np.abs(ours - theirs).max() <= bound, name


def assert_bytes_met(folder: Path, recording: Recording) -> None:
    """theta.state, both ways; where only its hash is known, leaves are in the order of creation."""
    source = recording.json["theta_file"]
    if "path" in source:
        data = (folder / source["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == source["sha256"]
        assert files.encode(files.decode(data, recording.rule)) == data
    else:
        data = files.encode(recording.theta)
        assert hashlib.sha256(data).hexdigest() == source["theta_state_sha256"]


@pytest.mark.slow
def test_recordings_are_met(golden, subtests):
    found = list(recordings(golden))
    assert {recording.rule for recording in found} >= {"velo", "mlp-lopt", "mulo"}
    for recording in found:
        with subtests.test(recording.name):
            assert_met(recording)
            assert_bytes_met(golden, recording)


@pytest.mark.slow
def test_recordings_of_released_weights_are_met(golden, released, subtests):
    for recording in recordings(released, without=golden):
        with subtests.test(recording.name):
            assert_met(recording)
            assert_bytes_met(released, recording)
