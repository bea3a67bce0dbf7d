"""What the examples show still works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rl_eval.cli.main import main

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_learner_from_python_learns_cartpole_on_all_cores():
    """In a process that is not pinned: two members on two cores once waited for ever."""
    code = (
        "import os, runpy, sys; os.sched_setaffinity(0, range(os.cpu_count()))\n"
        "print(*runpy.run_path(sys.argv[1])['returns'](iterations=60))"
    )
    command = [sys.executable, "-c", code, str(EXAMPLES / "in_python.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    returns = [float(word) for word in done.stdout.split()]
    assert len(returns) == 2
    assert min(returns) > 60


def test_an_optimizer_of_ones_own_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(EXAMPLES)
    args = ["--env", "probe/action", "--optimizer", "my_optimizer:make"]
    with pytest.raises(SystemExit) as stopped:
        main(["train", *args, "--total-timesteps", "10240", "--out", str(tmp_path / "run")])
    assert stopped.value.code == 0
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["episode_return_mean"] > 0.8
