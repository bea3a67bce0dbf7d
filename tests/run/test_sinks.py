"""Records in TensorBoard and Weights & Biases."""

from __future__ import annotations

import json

import pytest
from cli.test_train import CARTPOLE, rl_eval

from rl_eval.records.run import MetricsRow
from rl_eval.run.sinks import Sinks, check, numbers
from rl_eval.settings import SettingsError


def scalars(folder):
    """(step, name) to value of every event in TensorBoard's files."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in folder.glob("events.*"):
        data, at = file.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            for value in event.summary.value:
                found[event.step, value.tag] = value.simple_value
    return found


WHOLE = ("iteration", "env_steps", "gradient_steps", "wall_s", "sps", "episodes")


def row(**values):
    """A line of metrics without a game or a step."""
    nothing = dict.fromkeys(MetricsRow.__dataclass_fields__)
    return MetricsRow(**{**nothing, **dict.fromkeys(WHOLE, 0), "wall_s": 0.0, "sps": 0.0, **values})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("sinks") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        args = ["--log", "tensorboard,wandb", "--eval-every", "320", "--eval-episodes", "2"]
        assert rl_eval(*CARTPOLE, *args, "--out", str(out), "--no-cost") == 0
    return out


def test_tensorboard_shows_the_same_numbers_as_the_record(run):
    found = scalars(run / "tensorboard")
    for file, prefix in (("metrics.jsonl", "train"), ("eval.jsonl", "eval")):
        rows = [json.loads(line) for line in (run / file).read_text().splitlines()]
        name = "loss" if prefix == "train" else "return_mean"
        expected = {row["env_steps"]: row[name] for row in rows}
        shown = {step: value for (step, tag), value in found.items() if tag == f"{prefix}/{name}"}
        assert shown == pytest.approx(expected, rel=1e-6)


def test_wandb_writes_an_offline_run(run):
    (written,) = (run / "wandb").glob("offline-run-*/run-*.wandb")
    data = written.read_bytes()
    assert b"train/episode_return_mean" in data
    assert b"eval/return_mean" in data


def test_a_sink_that_fails_is_left_out_and_costs_no_run(tmp_path, monkeypatch):
    said = []
    sinks = Sinks(["tensorboard"], tmp_path, {}, said.append)
    monkeypatch.setattr(
        sinks._open["tensorboard"], "write", lambda row: (_ for _ in ()).throw(OSError("no space"))
    )
    sinks.write(row())
    sinks.write(row())
    sinks.close()
    assert said == ["--log tensorboard failed and is left out from now on: no space"]


def test_flags_and_missing_values_are_no_scalars():
    shown = numbers(row(env_steps=5, loss=0.5))
    whole = {f"train/{name}": 0.0 for name in WHOLE}
    assert shown == {**whole, "train/env_steps": 5.0, "train/loss": 0.5}


def test_an_unknown_sink_is_refused_before_anything_is_written(tmp_path, capsys):
    with pytest.raises(SettingsError, match="known: tensorboard, wandb"):
        check(["tensorbord"])
    assert rl_eval(*CARTPOLE, "--log", "x", "--out", str(tmp_path / "run")) == 2
    assert not (tmp_path / "run").exists()


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'rl-eval\[wandb\]'"):
        check(["wandb"])
