"""What the examples show still works."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from rl_eval.cli.main import main

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_learner_from_python_learns_cartpole():
    returns = runpy.run_path(str(EXAMPLES / "in_python.py"))["returns"](iterations=60)
    assert returns.shape == (2,)
    assert (returns > 60).all()


def test_an_optimizer_of_ones_own_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(EXAMPLES)
    args = ["--env", "probe/action", "--optimizer", "my_optimizer:make"]
    with pytest.raises(SystemExit) as stopped:
        main(["train", *args, "--total-timesteps", "10240", "--out", str(tmp_path / "run")])
    assert stopped.value.code == 0
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["episode_return_mean"] > 0.8
