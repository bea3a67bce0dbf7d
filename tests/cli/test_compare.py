"""`rl-eval compare` from the command line to the records and the page."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import time

import pytest
from report.comparisons import write

from optimizers import registry
from rl_eval.reading import read_run
from rl_eval.records.comparison import read_compare
from rl_eval.records.run import RecordError
from rl_eval.records.table import read_table
from rl_eval.report.comparison.scores import read_comparison
from rl_eval.report.comparison.tables import at_the_end
from rl_eval.settings import SettingsError
from sweeps.comparing import SEEDS, Asked
from sweeps.comparison.plan import best_values, configurations, reported_trials
from sweeps.space.domains import levels, value_at
from sweeps.tasks.formula import final_return

ENVS = ("probe/landscape", "probe/landscape-shifted")
OPTIMIZERS = ("adamw", "celo2-base")
COMPARE = ["compare", "--env", ",".join(ENVS), "--optimizers", ",".join(OPTIMIZERS)]
COMPARE += ["--tune", "lr", "--tuning-seeds", "2", "--seeds", "3", "--workers", "1"]


@pytest.fixture(scope="module")
def undisturbed(commands, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "compare"
    code, said = commands.run(*COMPARE, "--out", str(out), "--json")
    assert code == 0, said
    return out, json.loads(said.strip().splitlines()[-1])


def outcomes(out):
    table = read_table(out)
    assert table.problems == ()
    return {(r.id, s.seed): (s.status, s.objective) for r in table.rows for s in r.seeds}


def seeds_under(folder):
    return {int(run.name.removeprefix("seed-")) for run in folder.glob("trials/*/seed-*")}


def test_what_is_reported_was_tuned_on_other_seeds(undisturbed):
    out, _ = undisturbed
    assert seeds_under(out / "tuning") == {1000, 1001}
    assert seeds_under(out) == {0, 1, 2}
    assert len(list((out / "tuning" / "trials").iterdir())) == 2 * 2 * 7


def test_every_optimizer_faces_the_same_seeds_with_the_best_of_its_grid(undisturbed):
    out, summary = undisturbed
    rows, tuning = read_table(out).rows, read_table(out / "tuning").rows
    bases = {(env, name): base for env, name, base in configurations(read_compare(out))}
    ends = []
    assert [(r.env, r.optimizer) for r in rows] == [(e, o) for e in ENVS for o in OPTIMIZERS]
    for row in rows:
        assert [run.seed for run in row.seeds] == [0, 1, 2]
        tried = [t for t in tuning if (t.env, t.optimizer) == (row.env, row.optimizer)]
        known = {h.name: h for h in registry.get(row.optimizer).hyperparameters}
        domain = known["learning_rate"].domain
        grid = [value_at(domain, u) for u in levels(domain, 7)]
        assert [trial.values["optimizer.learning_rate"] for trial in tried] == grid
        assert max(tried, key=lambda trial: trial.objective).values == row.values

        config = read_run(out / "trials" / row.id / "seed-1").config
        assert row.seeds[1].objective == final_return(config)
        settings = config.optimizer.hyperparameters
        assert settings["learning_rate"] == row.values["optimizer.learning_rate"]
        untuned = dataclasses.replace(config, optimizer=bases[row.env, row.optimizer].optimizer)
        assert untuned == dataclasses.replace(bases[row.env, row.optimizer], seeds=(1,))
        if settings["learning_rate"] in (grid[0], grid[-1]):
            ends.append(f"learning_rate of {row.optimizer} in {row.env}")
    assert 0 < len(ends) < 4
    assert at_the_end(read_comparison(out)) == ends
    assert summary["runs"] == summary["completed"] == 12
    assert (out / "report" / "report.html").is_file()


@pytest.mark.slow
def test_a_comparison_that_is_stopped_and_killed_ends_as_if_undisturbed(
    commands, undisturbed, tmp_path
):
    out, chance = tmp_path / "compare", random.Random(0)
    args = [*COMPARE, "--out", str(out)]
    for kill in (signal.SIGINT, signal.SIGKILL):
        command = commands.start(*args)
        until = ended(out) + chance.randint(2, 15)
        while command.alive and ended(out) < until:
            time.sleep(0.01)
        assert command.alive, command.said
        command.send_signal(kill)
        code = command.wait(timeout=60)
        if kill == signal.SIGINT:
            assert code == 130, command.said
            assert f"--resume {out} goes on" in command.said
        args = [*COMPARE, "--resume", str(out)]
    more = ["compare", "--resume", str(out), "--seeds", "4", "--workers", "1"]
    code, said = commands.run(*more)
    assert code == 0, said
    assert outcomes(out / "tuning") == outcomes(undisturbed[0] / "tuning")
    found, before = outcomes(out), outcomes(undisturbed[0])
    assert {key: found[key] for key in before} == before
    assert len(found) == len(before) + 4  # of the seed that was added


def ended(out):
    files = [*out.glob("tuning/trials/*/*/status.json"), *out.glob("trials/*/*/status.json")]
    return sum('"running"' not in file.read_text() for file in files)


@pytest.mark.slow
def test_a_cost_that_is_missing_is_measured_and_nothing_else(commands, tmp_path):
    pair = {"envs": ["CartPole-v1"], "optimizers": ["sgd", "adamw"], "seeds": [0]}
    out = write(tmp_path / "compare", **pair)
    sgd, adamw = (out / "cost" / row.id / "cost.json" for row in read_table(out).rows)
    sgd.unlink()
    kept = [adamw, *out.glob("trials/*/*/*")]
    before = [file.stat().st_mtime_ns for file in kept]
    code, said = commands.run("compare", "--resume", str(out), "--workers", "1")
    assert code == 0, said
    assert [file.stat().st_mtime_ns for file in kept] == before
    cost = json.loads(sgd.read_text())
    assert cost["state_multiple"] == pytest.approx(1, abs=0.1)  # its momentum
    assert min(cost["sps"], cost["compile_s"], cost["optimizer_step_ms"]) > 0
    assert read_run(sgd.parent).config.total_timesteps == 32 * 8 * 32
    assert f"{cost['sps']:,.0f}" in (out / "report" / "report.html").read_text()


def test_a_seed_that_tuned_cannot_be_reported(undisturbed):
    out, _ = undisturbed
    record = read_compare(out)
    with pytest.raises(ValueError, match="the seed 1001 was used for tuning"):
        dataclasses.replace(record, seeds=(0, 1001))
    with pytest.raises(RecordError, match="tuned on the seed 1000"):
        best_values(out / "tuning", dataclasses.replace(record, tuning=None, seeds=(1000,)))


def test_tuning_seeds_keep_clear_of_reported_ones():
    asked = Asked(env=ENVS[0], optimizers=("adamw", "sgd"), tune="lr")
    assert asked.record((0, 1000, 1002), "").tuning.seeds == (1001, 1003, 1004)


def test_what_was_chosen_stays_chosen(undisturbed, tmp_path):
    out, _ = undisturbed
    before = (out / "sweep.json").read_bytes()
    ids = [trial.id for trial in reported_trials(out, read_compare(out))]
    assert ids == [planned["id"] for planned in json.loads(before)["planned"]]
    assert (out / "sweep.json").read_bytes() == before


def test_defaults_are_five_seeds_ten_evaluations_and_adamw_as_the_baseline():
    record = Asked(env="minatar-4", optimizers=("sgd", "adamw")).record((0, 1), "")
    assert record.envs[0] == "Asterix-MinAtar"
    assert (record.baseline, SEEDS, record.suite) == ("adamw", 5, "minatar-4")
    for _, _, base in configurations(record):
        assert base.evaluation.every == base.total_timesteps // 10


def test_optimizers_without_the_hyperparameter_are_not_tuned():
    record = Asked(env=ENVS[0], optimizers=("sgd", "adamw"), tune="b1").record((0, 1), "")
    assert record.tuning.optimizers == ("adamw",)


def test_what_scores_are_measured_by_cannot_differ():
    shorter = {"sgd.total_timesteps": 1e5}
    asked = Asked(env="CartPole-v1", optimizers=("adamw", "sgd"), settings=shorter)
    with pytest.raises(SettingsError, match="total_timesteps must be the same for adamw and sgd"):
        asked.record((0, 1), "")


def test_a_resumed_comparison_keeps_what_it_began_with(undisturbed, capsys):
    out, _ = undisturbed
    assert stopped("--resume", str(out), "--optimizers", "adamw,sgd") == 2
    assert "--optimizers cannot change with --resume" in capsys.readouterr().err
    assert stopped("--resume", str(out), "--seeds", "0,1000") == 2
    assert "seed 1000 was used for tuning" in capsys.readouterr().err
    assert stopped(*COMPARE[1:], "--out", str(out)) == 2
    assert f"compare --resume {out}` goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "one of --env and --suite"),
        (("--env", "CartPole-v1", "--suite", "minatar-4"), "one of --env and --suite"),
        (("--suite", "minatar"), "did you mean minatar-4"),
        (("--env", "CartPole-v1"), "a comparison needs two"),
        (("--env", "CartPole-v1", "--optimizers", "adamw"), "a comparison needs two"),
        (("--env", "CartPole-v1", "--optimizers", "adamw,sdg"), "sgd"),
        (("--env", "CartPole-v1", "--optimizers", "adamw,sgd", "--baseline", "lion"), "--baseline"),
        (("--env", "CartPole-v1", "--optimizers", "adamw,sgd", "--tune", "x"), "--tune x"),
        (("--env", "CartPole-v1", "--optimizers", "adamw,sgd", "--tuning-seeds", "2"), "--tune"),
        (("--env", "CartPole-v1", "--optimizers", "adamw,sgd", "--seeds", "0"), "at least one"),
        (("--env", "CartPole-v1", "--optimizers", "adamw,sgd", "--workers", "x"), "expected local"),
        (("--resume", "nowhere"), "no such directory"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stopped(*args) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def stopped(*args):
    from rl_eval.cli.main import main

    with pytest.raises(SystemExit) as ending:
        main(["compare", *args])
    return ending.value.code
