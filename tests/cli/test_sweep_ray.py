"""`rl-eval sweep --workers ray`: training stopped by Ctrl-C saves itself and is resumed."""

from __future__ import annotations

import importlib.util
import json
import signal
import time

import pytest
from cli.processes import Commands
from report.landscape import base

from rl_eval.settings import SettingsError
from sweeps.execution.work import Item
from sweeps.executor import Processes, Tasks, members, workers_of

SPACE = "{design: grid, points: 2, optimizer: {learning_rate: {choice: [1.0e-3, 1.0e-2]}}}"
SMALL = ("num_envs=4", "num_steps=16", "hidden_sizes=[8]", "log_every=50")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is missing")
def test_ctrl_c_stops_the_tasks_which_save_themselves_and_are_gone_on_with(tmp_path):
    commands, out = Commands(tmp_path), tmp_path / "sweep"
    (tmp_path / "space.yaml").write_text(SPACE)
    args = ["--space", tmp_path / "space.yaml", "--env", "CartPole-v1", "--out", out]
    args += ["--total-timesteps", "2e6", "--workers", "ray", "--cpus", "0.5"]
    args += [part for text in SMALL for part in ("--set", text)]
    command = commands.start("sweep", *map(str, args))
    while not any(out.glob("trials/*/*/metrics.jsonl")):
        assert command.alive, command.said
        time.sleep(0.05)
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=60) == 130, command.said
    assert "Ray, 1 nodes" in command.said
    assert f"rl-eval sweep --resume {out} goes on" in command.said
    stopped = [json.loads(f.read_text()) for f in out.glob("trials/*/*/status.json")]
    assert any((status["reason"] or "").startswith("interrupted") for status in stopped)
    assert not any(status["status"] == "completed" for status in stopped)
    assert any(out.glob("trials/*/*/checkpoints/*"))

    code, said = commands.run("sweep", "--resume", str(out), "--json")
    assert code == 0, said
    assert json.loads(said.splitlines()[-1])["completed"] == 2
    assert any(out.glob("trials/*/*/resumes.jsonl"))


def test_workers_are_processes_or_tasks_of_a_cluster(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert workers_of("ray", None, 0.25).place == Tasks("local", 1.0, 0.25)
    assert workers_of("ray://there:10001", 2.0, None).place == Tasks("ray://there:10001", 2.0, 0.0)
    assert workers_of("there:6379", None, None).place.address == "there:6379"
    monkeypatch.setenv("RAY_ADDRESS", "here:6379")
    assert workers_of("ray", None, None).place.address == "here:6379"
    three = workers_of("3", None, None)
    assert isinstance(three.place, Processes)
    todo = [Item("a", base("probe/landscape", "adamw"), tmp_path, "one")] * 7
    assert members(three, 1, todo, tmp_path) == (1, "3 workers, 1 at a time: as asked for")
    assert members(three, 4, todo, tmp_path) == (4, "2 workers, 4 at a time: as asked for")
    for given in (("local", 1.0, None), ("ray", 0.0, None), ("ray", None, -1.0), ("0", None, None)):
        with pytest.raises(SettingsError):
            workers_of(*given)
