"""Every recording of Celo2, Celo2-base and their Newton-Schulz step is met.

How to replay one is chosen from the json beside each npz, so a further recording needs no code.
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
import optax
import pytest

from optimizers import weights
from optimizers.learned.celo2 import celo2, celo2_base, scale_by_celo2
from optimizers.learned.parts.accumulators import Diagonal
from optimizers.learned.parts.newton_schulz import orthogonalize


class Recording(NamedTuple):
    name: str
    json: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def part(self, prefix: str) -> dict[str, np.ndarray]:
        found = {key: array for key, array in self.arrays.items() if key.startswith(prefix)}
        return {key.removeprefix(prefix): array for key, array in found.items()}

    @property
    def theta(self) -> weights.Theta:
        return {"ff_mod_stack": {"~": self.part("theta/ff_mod_stack/~/")}}


def recordings(folder: Path) -> Iterator[Recording]:
    for path in sorted(folder.glob("*.json")):
        about = json.loads(path.read_text())
        if str(about.get("optimizer")).startswith(("celo2", "newton_schulz")):
            with np.load(folder / about["file"]) as archive:
                yield Recording(path.stem, about, dict(archive))


def assert_within(found, expected, bound, where) -> None:
    assert found.keys() == expected.keys(), where
    for path, leaf in expected.items():
        assert np.abs(found[path] - leaf).max() <= bound, (where, path)


def assert_updates_met(recording: Recording) -> None:
    """Given gradients; the recorded parameters, so that no deviation adds up."""
    about, tolerance = recording.json, recording.json["tolerance"]
    opt = scale_by_celo2(recording.theta, about["config"]["orthogonalize"])
    params = recording.part("params/")
    state = opt.init(jax.tree.map(jnp.asarray, params))
    update = jax.jit(opt.update)
    for step in range(about["steps"]):
        updates, state = update(recording.part(f"step{step:02d}/grads/"), state, params)
        expected = recording.part(f"step{step:02d}/updates/")
        assert_within(updates, expected, tolerance["updates_atol_all"], step)
        params = {path: p - np.float32(about["lr"]) * expected[path] for path, p in params.items()}
    assert_within(params, recording.part("final/params/"), tolerance["final_params_atol"], "final")
    names = dict(accumulators(state))
    expected = {name: leaf for name, leaf in recording.part("final/").items() if name in names}
    assert len(expected) == len(names)
    for name, leaf in expected.items():
        bound = tolerance["accumulators_rtol_of_leaf_max"] * np.abs(leaf).max()
        assert np.abs(names[name].reshape(leaf.shape) - leaf).max() <= bound, name


def accumulators(state) -> Iterator[tuple[str, np.ndarray]]:
    """Ours under the recording's names; its decay axis is last, ours first."""
    for path, v in state.v.items():
        yield f"mom/{path}", np.moveaxis(state.m[path], 0, -1)
        yield f"rms/{path}", np.asarray(state.r[path])
        parts = {"v_diag": v.v} if isinstance(v, Diagonal) else {"v_row": v.row, "v_col": v.col}
        for name, part in parts.items():
            yield f"{name}/{path}", np.moveaxis(part, 0, -1)


def assert_training_met(recording: Recording) -> None:
    """A small regression: losses and parameters with gradients of our own."""
    about, tolerance = recording.json, recording.json["tolerance"]
    x, y = recording.arrays["data/x"], recording.arrays["data/y"]
    schedule = optax.warmup_cosine_decay_schedule(0.0, about["peak_lr"], 2, about["steps"])
    decay = about["weight_decay"]
    if about["adam"] is None:
        opt = celo2_base(schedule, recording.theta, weight_decay=decay)
    else:
        opt = celo2(schedule, recording.theta, weight_decay=decay, mult_1d=about["mult_1d"])

    def loss(params):
        layers = sorted({path.split("/")[0] for path in params})
        h = x
        for layer in layers:
            h = h @ params[f"{layer}/kernel"] + params[f"{layer}/bias"]
            h = h if layer == layers[-1] else jnp.tanh(h)
        return jnp.mean((h - y) ** 2)

    @jax.jit
    def train_step(params, state):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = opt.update(grads, state, params, value=value)
        return optax.apply_updates(params, updates), state, value

    params = jax.tree.map(jnp.asarray, recording.part("params/"))
    state = opt.init(params)
    for step in range(about["steps"]):
        params, state, value = train_step(params, state)
        assert abs(value - recording.arrays["loss"][step]) <= tolerance["loss_atol"], step
        if expected := recording.part(f"step{step:02d}/params_after/"):
            assert_within(params, expected, tolerance["step_params_atol"], step)
    assert_within(params, recording.part("final/params/"), tolerance["final_params_atol"], "final")


def assert_orthogonalized(recording: Recording) -> None:
    for name, x in recording.part("in/").items():
        found = orthogonalize(jnp.asarray(x), recording.json["config"]["steps"])
        deviation = np.abs(found - recording.arrays[f"out/{name}"]).max()
        assert deviation <= recording.json["tolerance"][name], name


def assert_theta_met(recording: Recording, folder: Path) -> None:
    """The file that comes with the recording holds the weights that were recorded."""
    about = recording.json["theta_state"]
    data = (folder / about["path"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == about["sha256"]
    loaded = weights.load(folder / about["path"], "celo2")
    jax.tree.map(np.testing.assert_array_equal, loaded, recording.theta)


@pytest.mark.slow
def test_recordings_are_met(golden, subtests):
    found = list(recordings(golden))
    kinds = {recording.json["optimizer"] for recording in found}
    assert kinds >= {"celo2", "celo2base", "celo2_e2e", "celo2base_e2e", "newton_schulz"}
    for recording in found:
        with subtests.test(recording.name):
            if recording.json["optimizer"] == "newton_schulz":
                assert_orthogonalized(recording)
                continue
            assert_theta_met(recording, golden)
            if "_e2e" in recording.json["optimizer"]:
                assert_training_met(recording)
            else:
                assert_updates_met(recording)
