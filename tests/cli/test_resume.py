"""Runs that were stopped, killed or hindered, and resumed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from cli.processes import CACHE

from optimizers import weights

SMALL = ["--set", "num_envs=4", "--set", "num_steps=16", "--set", "hidden_sizes=[8]"]
LONG = ["train", "--env", "CartPole-v1", "--total-timesteps", "6e5", *SMALL]
BOOKS = ["--set", "log_every=7", "--eval-every", "60000", "--eval-episodes", "4"]


def lines(run, name="metrics.jsonl"):
    """What a record says, clocks left out."""
    rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("wall_s", "sps")} for row in rows]


def status(run):
    return json.loads((run / "status.json").read_text())


def wait_for(file, process, lines=1):
    while not (file.exists() and file.read_bytes().count(b"\n") >= lines):
        assert process.alive, process.said
        time.sleep(0.02)


def last_json(said):
    return json.loads(said.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def undisturbed(commands, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    code, said = commands.run(*LONG, *BOOKS, "--out", str(out), "--json")
    assert code == 0, said
    return out, last_json(said)


def same_end(run, said, undisturbed):
    expected_run, expected = undisturbed
    assert lines(run) == lines(expected_run)
    assert lines(run, "eval.jsonl") == lines(expected_run, "eval.jsonl")
    clocks = ("sps", "compile_s", "run_dir")
    ended = last_json(said)
    assert {k: v for k, v in ended.items() if k not in clocks} == {
        k: v for k, v in expected.items() if k not in clocks
    }


@pytest.mark.slow
def test_every_optimizer_goes_on_bit_for_bit_in_another_process(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in sorted(set(weights.TEMPLATES) - set(weights.manifest())):
        theta = weights.initial(name, jax.random.key(0), H=4, P=2, D=2)
        weights.save(folder / f"{name}.msgpack", theta)
    quickly = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    env = {**os.environ, **CACHE, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} {quickly}"
    script = Path(__file__).parents[1] / "halves.py"
    for half in ("first", "second"):
        done = subprocess.run(
            [sys.executable, str(script), half, str(tmp_path / "runs")],
            env={**env, "RL_EVAL_WEIGHTS": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def newest(run):
    """Iteration of the newest checkpoint; 0 without one."""
    return max((int(p.name) for p in (run / "checkpoints").glob("0*")), default=0)


@pytest.mark.slow
def test_a_run_killed_at_twenty_moments_ends_as_if_it_never_had_been(
    commands, undisturbed, tmp_path
):
    out, moments = tmp_path / "run", random.Random(0)
    every_chunk = ["--checkpoint-seconds", "0"]
    for kill in range(20):
        if (out / "config.json").exists():
            process = commands.start("train", "--resume", str(out), *every_chunk)
        else:
            shutil.rmtree(out, ignore_errors=True)
            process = commands.start(*LONG, *BOOKS, "--out", str(out), *every_chunk)
        before = newest(out)
        if kill % 5:  # the others: while it starts
            while newest(out) == before:
                assert process.alive, process.said
                time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3))
        assert process.alive, process.said
        process.kill()
        process.wait()
    code, said = commands.run("train", "--resume", str(out), "--json")
    assert code == 0, said
    same_end(out, said, undisturbed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_says_so_and_goes_on_to_the_same_end(
    number, code, commands, undisturbed, tmp_path
):
    out = tmp_path / "run"
    process = commands.start(*LONG, *BOOKS, "--out", str(out), "--checkpoint-seconds", "1e9")
    wait_for(out / "metrics.jsonl", process, lines=20)
    os.kill(process.pid, number)
    process.wait()
    assert process.returncode == code, process.said
    assert "Traceback" not in process.said
    assert status(out)["status"] == "failed"
    assert "--resume" in status(out)["reason"]
    ended, said = commands.run("train", "--resume", str(out), "--json")
    assert ended == 0, said
    same_end(out, said, undisturbed)
    resumed = json.loads((out / "resumes.jsonl").read_text())
    assert resumed["games"] == "went on"
    assert resumed["iteration"] > 0


def test_a_full_disk_stops_a_run_that_goes_on_when_there_is_room(commands, undisturbed, small_disk):
    out, filler = small_disk / "run", small_disk / "filler"
    process = commands.start(*LONG, *BOOKS, "--out", str(out), "--checkpoint-seconds", "0")
    wait_for(out / "metrics.jsonl", process, lines=10)
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"0" * 4096)
    process.wait()
    assert process.returncode == 1
    # Where orbax was writing just then, threads of its own say more, before and after.
    ours = [line for line in process.said.splitlines() if line.startswith("rl-eval: ")]
    assert any("No space left" in line for line in ours), process.said
    filler.unlink()
    code, said = commands.run("train", "--resume", str(out), "--json")
    assert code == 0, said
    same_end(out, said, undisturbed)


def test_games_that_cannot_be_saved_start_anew_and_nothing_else_does(commands, tmp_path):
    out, args = tmp_path / "run", [*LONG, "--env", "gymnasium:CartPole-v1", "--set", "log_every=7"]
    args += ["--total-timesteps", "2e4", "--optimizer", "adamw", "--set", "schedule=linear"]
    process = commands.start(*args, "--out", str(out), "--checkpoint-seconds", "0")
    wait_for(out / "metrics.jsonl", process, lines=3)
    process.terminate()
    process.wait()
    before = lines(out)
    code, said = commands.run("train", "--resume", str(out), "--json")
    assert code == 0, said
    resumed = json.loads((out / "resumes.jsonl").read_text())
    assert resumed["games"] == "new, from (seed, 1)"
    after = lines(out)
    kept = resumed["iteration"] // 7
    assert after[:kept] == before[:kept]
    assert [row["iteration"] for row in after] == [*range(7, 312, 7), 312]
    assert last_json(said)["gradient_steps"] == 312 * 16


def test_seeds_trained_together_are_gone_on_with_together(commands, tmp_path):
    out, whole = tmp_path / "run", tmp_path / "whole"
    seeds = ["--seeds", "3,1", "--total-timesteps", "6e4", "--set", "log_every=7"]
    assert commands.run(*LONG, *seeds, "--out", str(whole))[0] == 0
    process = commands.start(*LONG, *seeds, "--out", str(out), "--checkpoint-seconds", "0")
    wait_for(out / "seed-1" / "metrics.jsonl", process, lines=10)
    process.kill()
    process.wait()
    assert commands.run("train", "--resume", str(out))[0] == 0
    for seed in ("seed-3", "seed-1"):
        assert lines(out / seed) == lines(whole / seed)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(commands, undisturbed, tmp_path):
    out = tmp_path / "run"
    process = commands.start(*LONG, *BOOKS, "--out", str(out), "--checkpoint-seconds", "0")
    while len(list((out / "checkpoints").glob("0*"))) < 2:
        assert process.alive, process.said
        time.sleep(0.02)
    process.terminate()
    process.wait()
    newest = max((out / "checkpoints").glob("0*"))
    victim = max(newest.rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else -1)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)
    code, said = commands.run("train", "--resume", str(out), "--json")
    assert code == 0, said
    assert str(victim) in said
    same_end(out, said, undisturbed)


def test_a_finished_run_is_told_again_and_not_touched(commands, undisturbed):
    run, expected = undisturbed
    before = (run / "status.json").read_bytes()
    code, said = commands.run("train", "--resume", str(run), "--json")
    assert code == 0
    assert last_json(said) == expected
    assert (run / "status.json").read_bytes() == before


def test_a_second_process_on_a_run_is_refused(commands, tmp_path):
    out = tmp_path / "run"
    first = commands.start(*LONG, *BOOKS, "--total-timesteps", "1e9", "--out", str(out))
    wait_for(out / "metrics.jsonl", first)
    for args in (
        ["--resume", str(out)],
        ["--env", "CartPole-v1", "--out", str(out), "--overwrite"],
    ):
        code, said = commands.run("train", *args)
        assert code == 1
        assert f"in use by process {first.pid}" in said
    assert first.alive
    first.kill()
    first.wait()
    assert status(out)["status"] == "running"  # as a killed process leaves it


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--resume", "nowhere"], ["nowhere", "not a run directory"]),
        (["--resume", "RUN", "--set", "gamma=0.9"], ["hparams.gamma was 0.99", "--resume"]),
        (["--resume", "RUN", "--env", "Acrobot-v1"], ["env.id was CartPole-v1", "--resume"]),
        (["--env", "CartPole-v1", "--out", "RUN"], ["RUN", "--resume", "--overwrite"]),
    ],
)
def test_a_mistake_about_a_run_directory_is_one_line(args, words, commands, undisturbed):
    run, _ = undisturbed
    code, said = commands.run("train", *[str(run) if a == "RUN" else a for a in args])
    assert code in (1, 2)
    assert said.count("\n") == 1, said
    for word in words:
        assert (str(run) if word == "RUN" else word) in said
