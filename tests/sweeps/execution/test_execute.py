"""Execution: workers that die, hang or raise cost one trial one retry, and the sweep goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from report.landscape import SPACE, base

from rl_eval.config import to_dict
from rl_eval.errors import MachineError
from rl_eval.records.sweep import write_sweep
from rl_eval.records.table import read_table
from sweeps.execution.execute import execute, items, tally
from sweeps.execution.local import WorkerError, local
from sweeps.execution.work import Backlog, Ended, Item, Moving, Retried
from sweeps.space.space import make_space
from sweeps.trials import plan, run_directory, sweep_record

TASK = "cli.broken_runs:make"
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def trials():
    space = make_space({**SPACE, "ppo": {"gamma": {"uniform": [0.9, 1.0]}}}, ("adamw",), "here")
    return plan(space, [base("probe/landscape", "adamw")], seed=0, trials=4)


@pytest.fixture
def sweep(tmp_path, trials):
    space = make_space({**SPACE, "ppo": {"gamma": {"uniform": [0.9, 1.0]}}}, ("adamw",), "here")
    write_sweep(tmp_path, sweep_record(space, trials, seeds=SEEDS, design="sobol", design_seed=0))
    return tmp_path


def run(trials, sweep, workers=2, task=TASK, **options):
    todo = items(trials, SEEDS, sweep)
    executor = local(task, [None] * workers, sweep / "workers", **options)
    return list(execute(todo, executor))


def statuses(sweep):
    return {
        (row.id, seed.seed): seed.status for row in read_table(sweep).rows for seed in row.seeds
    }


def scores(sweep):
    return {(row.id, s.seed): s.objective for row in read_table(sweep).rows for s in row.seeds}


def test_every_run_ends_once_and_is_recorded(trials, sweep):
    events = run(trials, sweep)
    ended = [e.item.name for e in events if isinstance(e, Ended)]
    assert len(ended) == len(set(ended)) == 8
    assert set(statuses(sweep).values()) == {"completed", "diverged"}
    assert run(trials, sweep) == []


def test_a_full_disk_stops_the_sweep_and_is_never_a_trials_failure(trials, sweep):
    (sweep / "full").write_text(trials[-1].id)
    with pytest.raises(MachineError, match="No space left on device"):
        run(trials, sweep, workers=1)
    kept = scores(sweep)
    assert "failed" not in statuses(sweep).values()
    assert any(score is not None for score in kept.values())
    (sweep / "full").unlink()
    run(trials, sweep)
    assert set(statuses(sweep).values()) == {"completed", "diverged"}
    assert all(scores(sweep)[run] == score for run, score in kept.items() if score is not None)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV"])
def test_a_dead_worker_costs_its_trial_one_retry(trials, sweep, how):
    (sweep / "once").write_text(trials[1].id)
    if how == "SIGSEGV":
        (sweep / "segfault").write_text("yes")
    events = run(trials, sweep)
    retried = [e for e in events if isinstance(e, Retried)]
    assert {e.item.trial for e in retried} == {trials[1].id}
    assert len(retried) == 2  # a try of each seed
    assert all(how in e.reason for e in retried)
    assert "failed" not in statuses(sweep).values()


def test_a_trial_that_always_kills_its_worker_fails_with_the_reason_and_the_rest_goes_on(
    trials, sweep
):
    (sweep / "always").write_text(trials[0].id)
    events = run(trials, sweep, workers=1)
    failed = [e for e in events if isinstance(e, Ended) and e.status == "failed"]
    assert {e.item.trial for e in failed} == {trials[0].id}
    assert (sweep / "tries").read_text().split().count(f"{trials[0].id}/seed-0") == 2
    found = statuses(sweep)
    assert {key[0] for key, status in found.items() if status == "failed"} == {trials[0].id}
    assert set(found.values()) <= {"completed", "diverged", "failed"}
    file = run_directory(sweep, trials[0].id, 0) / "status.json"
    assert "killed by SIGKILL (out of memory?), 2 times" in json.loads(file.read_text())["reason"]
    assert items(trials, SEEDS, sweep) == []
    again = items(trials, SEEDS, sweep, retry_failed=True)
    assert [item.trial for item in again] == [trials[0].id] * 2


def test_a_worker_that_hangs_is_replaced(trials, sweep):
    (sweep / "hang").write_text(trials[2].id)
    events = run(trials[1:3], sweep, patience_s=5.0)
    failed = [e for e in events if isinstance(e, Ended) and e.status == "failed"]
    assert {e.item.trial for e in failed} == {trials[2].id}
    assert "hung" in failed[0].reason


def test_a_run_that_raises_fails_at_once_and_its_worker_lives(trials, sweep):
    (sweep / "error").write_text(trials[3].id)
    events = run(trials, sweep, workers=1)
    assert not [e for e in events if isinstance(e, Retried)]
    file = run_directory(sweep, trials[3].id, 1) / "status.json"
    assert json.loads(file.read_text())["reason"] == "ValueError: what a run cannot do"
    assert list(statuses(sweep).values()).count("failed") == 2


def test_workers_that_cannot_start_are_an_error_with_their_words(trials, sweep):
    with pytest.raises(WorkerError, match=r"No module named .cli\.nothing."):
        run(trials, sweep, task="cli.nothing:make")


def test_leaving_in_the_middle_stops_the_workers(trials, sweep):
    (sweep / "slow").write_text("60")
    executor = local(TASK, [None, None], sweep / "workers")
    events = execute(items(trials, SEEDS, sweep), executor)
    assert isinstance(next(events), Moving)
    events.close()
    assert children() == []


def children():
    out = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True)
    return [line for line in out.stdout.decode().splitlines() if "sweeps.execution.workers" in line]


def test_a_worker_leaves_when_its_sweep_is_killed(trials, sweep):
    (sweep / "slow").write_text("60")
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "sweeps.execution.workers", TASK, "-", str(writer)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[writer], env=env)
    os.close(writer)
    with os.fdopen(reader) as heard:
        assert json.loads(heard.readline()) == {"ready": True}
        (item, *_) = items(trials, SEEDS, sweep)
        order = {"config": to_dict(item.config), "directory": str(item.directory)}
        order = {"orders": [order], "together": False}
        worker.stdin.write(json.dumps(order).encode() + b"\n")
        worker.stdin.flush()
        while not (sweep / "tries").exists():
            time.sleep(0.05)
        worker.stdin.close()
        assert worker.wait(timeout=60) == 128 + signal.SIGTERM


def test_a_worker_is_handed_what_it_has_compiled(trials):
    config = trials[0].config
    kinds = ["a", "b", "a", "b", "b"]
    made = [Item(str(i), config, Path(str(i)), kind) for i, kind in enumerate(kinds)]
    backlog = Backlog(made)
    taken = backlog.take(None)
    while len(backlog):
        taken += backlog.take(taken[-1].signature)
    assert [item.signature for item in taken] == ["b", "b", "b", "a", "a"]
    backlog.put_back(made[0])
    assert backlog.take("b") == [made[0]]
    assert backlog.take(None) == []


def test_several_at_once_share_their_signature_and_what_was_put_back_comes_alone(trials):
    made = [Item(str(i), trials[0].config, Path(str(i)), kind) for i, kind in enumerate("aabba")]
    backlog = Backlog(made)
    assert [item.trial for item in backlog.take(None, 2)] == ["0", "1"]
    for item in made[:2]:
        backlog.put_back(item)
    assert [item.trial for item in backlog.take("a", 4)] == ["4"]
    assert [item.trial for item in backlog.take("a", 4)] == ["0"]
    assert [item.trial for item in backlog.take("a", 4)] == ["1"]
    assert [item.trial for item in backlog.take("a", 4)] == ["2", "3"]


@pytest.mark.parametrize("what", ["always", "error"])
def test_a_run_that_takes_its_group_down_fails_alone(trials, sweep, what):
    (sweep / what).write_text(trials[0].id)
    events = run(trials, sweep, workers=1, task="cli.broken_runs:make_together", population=8)
    ended = [e.item.name for e in events if isinstance(e, Ended)]
    assert len(ended) == len(set(ended)) == 8
    found = statuses(sweep)
    assert {key[0] for key, status in found.items() if status == "failed"} == {trials[0].id}
    assert len({e.item.name for e in events if isinstance(e, Retried)}) == 8


def test_what_ended_before_is_counted(trials, sweep):
    run(trials[:2], sweep, workers=1)
    todo = items(trials, SEEDS, sweep)
    found = tally(trials, SEEDS, sweep, todo)
    assert (found.total, found.ended, len(todo)) == (8, 4, 4)
    completed = [s for key, s in scores(sweep).items() if statuses(sweep)[key] == "completed"]
    assert found.best[0] == max(completed)
