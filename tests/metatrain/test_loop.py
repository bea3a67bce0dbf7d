"""A run that is interrupted, killed or damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metatrain import tiny

from optimizers import metatrain
from optimizers.metatrain import Cadence, checkpoint

EVERY_ROW = Cadence(record=5, checkpoint=0.0, metric=0)


def run(out: Path, progress: Any = None, cadence: Cadence = EVERY_ROW) -> metatrain.Outcome:
    return metatrain.train(
        tiny.CONFIG,
        out,
        progress,
        rule=tiny.sgd_rule(),
        inner=[tiny.noisy_parabola()],
        cadence=cadence,
    )


def go_on(out: Path) -> metatrain.Outcome:
    return metatrain.resume(
        out, rule=tiny.sgd_rule(), inner=[tiny.noisy_parabola()], cadence=EVERY_ROW
    )


def iterations_of(path: Path) -> list[int]:
    return [json.loads(line)["iteration"] for line in path.read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All runs of this file are the same two programs."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The folder and the theta of an undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    outcome = run(out)
    assert outcome.finished
    assert outcome.iteration == 60
    return out, np.asarray(outcome.theta["log_step"])


@pytest.fixture
def whole(finished: tuple[Path, np.ndarray]) -> np.ndarray:
    return finished[1]


@pytest.fixture
def copied(finished: tuple[Path, np.ndarray], tmp_path: Path) -> Path:
    """A finished run that a test may spoil."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def test_an_interrupted_run_resumes_to_the_same_theta_bit_for_bit(
    tmp_path: Path, whole: np.ndarray
) -> None:
    def interrupt(row: dict[str, Any]) -> None:
        if row["iteration"] == 30:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = run(tmp_path / "run", interrupt)
    assert not outcome.finished
    assert outcome.iteration == 30
    resumed = go_on(tmp_path / "run")
    assert resumed.finished
    np.testing.assert_array_equal(resumed.theta["log_step"], whole)
    assert iterations_of(tmp_path / "run" / "curve.jsonl") == list(range(5, 61, 5))


def test_a_killed_run_resumes_to_the_same_theta_bit_for_bit(
    tmp_path: Path, whole: np.ndarray
) -> None:
    out = tmp_path / "run"
    child = subprocess.Popen([sys.executable, tiny.__file__, str(out)])
    deadline = time.monotonic() + 60
    try:
        while not (out / "curve.jsonl").exists() or len(iterations_of(out / "curve.jsonl")) < 3:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    with (out / "curve.jsonl").open("a") as curve:
        curve.write('{"iteration": 9999')  # as a kill in the middle of a write leaves it
    outcome = go_on(out)
    assert outcome.finished
    np.testing.assert_array_equal(outcome.theta["log_step"], whole)
    assert iterations_of(out / "curve.jsonl") == list(range(5, 61, 5))


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    copied: Path, whole: np.ndarray
) -> None:
    (copied / "checkpoint.npz").unlink()
    np.testing.assert_array_equal(go_on(copied).theta["log_step"], whole)
    assert iterations_of(copied / "curve.jsonl") == list(range(5, 61, 5))


def test_a_folder_whose_config_a_power_cut_emptied_is_no_dead_end(tmp_path: Path) -> None:
    (tmp_path / "thetas").mkdir()
    (tmp_path / "config.json").write_bytes(bytes(200))
    with pytest.raises(checkpoint.CheckpointError, match="cannot be read"):
        go_on(tmp_path)
    assert run(tmp_path).finished


def test_zeros_in_the_curve_cost_their_row(copied: Path) -> None:
    curve = copied / "curve.jsonl"
    rows = curve.read_bytes().split(b"\n")
    curve.write_bytes(b"\n".join([rows[0], bytes(50), *rows[2:]]))
    go_on(copied)
    assert iterations_of(curve) == [5, *range(15, 61, 5)]


def test_a_packed_checkpoint_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    np.savez_compressed(path, theta=np.zeros(10**7))
    with pytest.raises(checkpoint.CheckpointError, match="compressed"):
        checkpoint.read(path)


def test_a_damaged_checkpoint_is_refused_with_a_clear_word(copied: Path) -> None:
    path = copied / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(checkpoint.CheckpointError, match=r"checkpoint\.npz is damaged.*--init"):
        go_on(copied)


def test_no_flipped_byte_of_a_checkpoint_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    state = {"theta": jnp.arange(100.0), "count": jnp.int32(3)}
    checkpoint.save(path, state, {"seconds": 1.5})
    good = path.read_bytes()
    refused = 0
    for position in range(0, len(good), 3):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x10]) + good[position + 1 :])
        try:
            stored = checkpoint.read(path)
        except checkpoint.CheckpointError:
            refused += 1
        else:  # a byte that means nothing, such as a file time in the zip directory
            got = checkpoint.restore(stored, state)
            np.testing.assert_array_equal(got["theta"], state["theta"])
            assert (int(got["count"]), stored.notes) == (3, {"seconds": 1.5})
    assert refused > len(good) / 3 / 2


def test_a_checkpoint_of_another_configuration_is_refused(copied: Path) -> None:
    path = copied / "config.json"
    config = json.loads(path.read_text())
    config["config"]["unroll"]["particles"] = 4
    path.write_text(json.dumps(config))
    with pytest.raises(checkpoint.CheckpointError, match="another configuration"):
        go_on(copied)


def test_other_data_than_the_run_began_with_are_refused(copied: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match="other data"):
        metatrain.resume(copied, rule=tiny.sgd_rule(), inner=[tiny.parabola()])


def test_a_finished_run_resumes_to_nothing_left_to_do(copied: Path, whole: np.ndarray) -> None:
    np.testing.assert_array_equal(go_on(copied).theta["log_step"], whole)


def test_a_new_run_does_not_overwrite_an_old_one(copied: Path) -> None:
    with pytest.raises(FileExistsError, match="resume it or choose another folder"):
        run(copied)
    with pytest.raises(checkpoint.CheckpointError, match="holds no meta-training run"):
        metatrain.resume(copied / "nowhere")


def test_the_metric_is_recorded_and_its_theta_kept(tmp_path: Path) -> None:
    run(tmp_path / "run", cadence=Cadence(record=5, metric=25))
    rows = [json.loads(x) for x in (tmp_path / "run" / "metric.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [25, 50, 60]
    assert all(0 < row["best"] < row["default"] for row in rows)
    kept = sorted(path.name for path in (tmp_path / "run" / "thetas").iterdir())
    assert kept == ["000025.msgpack", "000050.msgpack", "000060.msgpack"]


def test_the_configuration_survives_its_file() -> None:
    values = json.loads(json.dumps(tiny.CONFIG.to_dict()))
    assert metatrain.config.from_dict(values) == tiny.CONFIG
    with pytest.raises(ValueError, match="particle"):
        metatrain.config.from_dict(values | {"unroll": {"particle": 3}})
