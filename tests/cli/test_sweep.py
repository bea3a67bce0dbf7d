"""`rl-eval sweep` and `rl-eval report` from the command line to the files."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import shutil
import signal
import time

import pytest

from rl_eval.reading import read_run
from rl_eval.records.sweep import read_sweep, write_sweep
from rl_eval.records.table import read_table
from sweeps.tasks.formula import diverges, final_return

PRUNED = ["--preset", "sensitivity", "--env", "probe/landscape", "--prune", "asha"]
LANDSCAPE = ["--env", "probe/landscape,probe/landscape-shifted", "--optimizers", "adamw,celo2-base"]
SWEEP = ["sweep", "--preset", "sensitivity", *LANDSCAPE, "--trials", "8"]


@pytest.fixture(scope="module")
def undisturbed(commands, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "sweep"
    code, said = commands.run(*SWEEP, "--seeds", "2", "--out", str(out), "--json")
    assert code == 0, said
    return out, last_json(said)


def last_json(said):
    return json.loads(said.strip().splitlines()[-1])


def outcomes(sweep):
    table = read_table(sweep)
    assert table.problems == ()
    return {(r.id, s.seed): (s.status, s.objective) for r in table.rows for s in r.seeds}


def test_every_planned_run_has_the_return_of_the_formula(undisturbed):
    out, summary = undisturbed
    record = read_sweep(out)
    assert len(record.planned) == 2 * 2 * 8
    assert record.seeds == (0, 1)
    assert record.commands[0].startswith("rl-eval sweep --preset sensitivity")
    diverged = 0
    for (trial, seed), (status, objective) in outcomes(out).items():
        config = read_run(out / "trials" / trial / f"seed-{seed}").config
        diverged += diverges(config)
        assert status == ("diverged" if diverges(config) else "completed")
        assert objective == (0.0 if diverges(config) else final_return(config))
    assert 0 < diverged < 32
    counts = {name: summary[name] for name in ("runs", "completed", "diverged", "failed")}
    assert counts == {"runs": 64, "completed": 64 - diverged, "diverged": diverged, "failed": 0}


def test_trials_and_seeds_are_added_and_nothing_is_run_twice(commands, undisturbed, tmp_path):
    out = tmp_path / "sweep"
    code, said = commands.run(*SWEEP[:-1], "4", "--out", str(out))
    assert code == 0, said
    before = {p: p.stat().st_mtime_ns for p in out.glob("trials/*/*/status.json")}
    assert len(before) == 16
    code, said = commands.run("sweep", "--resume", str(out), "--trials", "8", "--seeds", "2")
    assert code == 0, said
    assert outcomes(out) == outcomes(undisturbed[0])
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len(read_sweep(out).commands) == 2
    code, said = commands.run("sweep", "--resume", str(out), "--trials", "4")
    assert code == 2
    assert "trials can be added" in said


@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again_ends_as_if_undisturbed(
    commands, undisturbed, tmp_path
):
    out, chance, stages = tmp_path / "sweep", random.Random(0), set()
    args = [*SWEEP, "--seeds", "2", "--out", str(out)]
    for _ in range(10):
        command = commands.start(*args)
        until = ended(out) + chance.randint(1, 4)
        while command.alive and ended(out) < until:
            time.sleep(chance.uniform(0, 0.01))
        command.send_signal(signal.SIGKILL)
        command.wait()
        stages.add(ended(out))
        args = ["sweep", "--resume", str(out)]
    assert len(stages - {64}) > 3  # it was in the middle
    code, said = commands.run(*args)
    assert code == 0, said
    assert outcomes(out) == outcomes(undisturbed[0])


def ended(sweep):
    files = sweep.glob("trials/*/*/status.json")
    return sum(json.loads(file.read_text())["status"] != "running" for file in files)


TRAINED = """
design: grid
points: 2
optimizer: {learning_rate: {choice: [1.0e-3, 1.0e-2]}}
ppo: {gamma: {choice: [0.9, 0.99]}}
"""


@pytest.mark.slow
def test_training_goes_on_after_ctrl_c_and_kills_and_others_are_refused(commands, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(TRAINED)
    small = ["num_envs=4", "num_steps=16", "hidden_sizes=[8]", "log_every=50"]
    args = ["sweep", "--space", str(space), "--env", "CartPole-v1", "--total-timesteps", "2e5"]
    args += [part for text in small for part in ("--set", text)]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    code, said = commands.run(*args, "--out", str(whole))
    assert code == 0, said

    command = commands.start(*args, "--out", str(stopped))
    wait_for_line(stopped, command)
    command.send_signal(signal.SIGSTOP)  # or it might end before the other has looked
    code, said = commands.run("sweep", "--resume", str(stopped))
    assert code == 1
    assert "in use by process" in said
    command.send_signal(signal.SIGINT)
    command.send_signal(signal.SIGCONT)
    assert command.wait(timeout=60) == 130, command.said

    command = commands.start("sweep", "--resume", str(stopped))
    before = lines_in(stopped)
    while command.alive and lines_in(stopped) < before + 3:
        time.sleep(0.05)
    command.send_signal(signal.SIGKILL)
    command.wait()
    code, said = commands.run("sweep", "--resume", str(stopped))
    assert code == 0, said
    assert outcomes(stopped) == outcomes(whole)
    for run in whole.glob("trials/*/*"):
        again = stopped / run.relative_to(whole)
        assert curve(again) == curve(run)


def curve(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("wall_s", "sps")} for row in rows]


def lines_in(sweep):
    files = sweep.glob("trials/*/*/metrics.jsonl")
    return sum(file.read_bytes().count(b"\n") for file in files)


def wait_for_line(sweep, command):
    while not any(sweep.glob("trials/*/*/metrics.jsonl")):
        assert command.alive, command.said
        time.sleep(0.05)


def test_a_report_is_written_from_records_alone(commands, undisturbed, tmp_path):
    sweep, out = tmp_path / "sweep", tmp_path / "report"
    shutil.copytree(undisturbed[0], sweep)
    record = read_sweep(sweep)
    one = [p for p in record.planned if (p.env, p.optimizer) == ("probe/landscape", "adamw")]
    write_sweep(sweep, dataclasses.replace(record, planned=tuple(one)))
    code, said = commands.run("report", str(sweep), "--out", str(out))
    assert code == 0, said
    assert said.count("not a planned trial, left out") == 24
    names = {path.name for path in out.iterdir()}
    assert {path.suffix for path in out.iterdir()} == {".html", ".csv", ".png", ".svg", ".pdf"}
    assert all(str(out / name) in said for name in names)
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    found = outcomes(undisturbed[0])
    for row in rows:
        assert float(row["objective_seed_1"]) == found[row["trial"], 1][1]


def test_a_sweep_that_prunes_says_so(commands, tmp_path):
    out = tmp_path / "sweep"
    code, said = commands.run("sweep", *PRUNED, "--trials", "16", "--out", str(out), "--json")
    assert code == 0, said
    summary = last_json(said)
    assert summary["pruned"] > summary["completed"] > 0
    assert summary["runs"] == 16 == sum(summary[s] for s in ("pruned", "completed", "diverged"))
    code, said = commands.run("report", str(out))
    assert code == 0, said
    assert f"{summary['pruned']} runs were pruned" in (out / "report" / "report.html").read_text()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--preset", "sensitivity"], "give --env"),
        (["--env", "probe/landscape", "--preset", "x", "--space", "x"], "one of --preset"),
        (["--env", "nowhere", "--preset", "sensitivity"], "unknown environment"),
        (["--env", "probe/landscape", "--preset", "sensitivty"], "did you mean sensitivity"),
        (["--env", "probe/landscape", "--preset", "sensitivity", "--seeds", "0"], "at least one"),
        (["--env", "x", "--preset", "sensitivity", "--workers", "x"], "expected local"),
        ([*PRUNED, "--seeds", "2"], "tune with one seed"),
        ([*PRUNED, "--eval-every", "5e5"], "needs an evaluation by 5,556 env steps"),
        (["--resume", "nowhere"], "no such directory"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(args, words, capsys, tmp_path, monkeypatch):
    from rl_eval.cli.main import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", *args])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
