"""From the files of a sweep to its table."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
import statistics

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report.landscape import score, write

from rl_eval.envs.formulas import FLOOR
from rl_eval.records.run import RecordError, read_object
from rl_eval.records.scored import Curve, SeedRun, measure
from rl_eval.records.sweep import AxisRecord
from rl_eval.records.table import Row, read_table, union, write_csv
from sweeps.tasks.formula import diverges


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small")
    write(path, trials=6, seeds=(0, 1))
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Of two optimizers."""
    path = tmp_path_factory.mktemp("two")
    write(path, optimizers=("celo2", "adamw"), trials=4, seeds=(0, 1))
    return read_table(path)


@pytest.fixture
def copy(small, tmp_path):
    """A small sweep, to be damaged."""
    return shutil.copytree(small, tmp_path / "sweep")


def some_run(sweep):
    """The directory of a completed run of seed 0, and the id of its trial."""
    for folder in sorted(sweep.glob("trials/*/seed-0")):
        if json.loads((folder / "status.json").read_text())["status"] == "completed":
            return folder, folder.parent.name
    raise AssertionError


def change(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def run_of(table, trial):
    return next(row for row in table.rows if row.id == trial).seeds[0]


def test_every_planned_trial_has_its_scores(tmp_path):
    trials = write(tmp_path, trials=8, seeds=(0, 1, 2))
    table = read_table(tmp_path)
    assert [row.id for row in table.rows] == [trial.id for trial in trials]
    assert table.problems == ()
    for row, trial in zip(table.rows, trials, strict=True):
        scores = [score(trial, seed) for seed in (0, 1, 2)]
        assert [run.objective for run in row.seeds] == pytest.approx(scores)
        assert row.objective == pytest.approx(statistics.fmean(scores))
        assert row.count("diverged") == (3 if diverges(trial.config) else 0)
        assert row.values == trial.values
    assert any(diverges(trial.config) for trial in trials)


@pytest.mark.parametrize(
    ("objective", "curve", "final", "value"),
    [
        ("final", Curve((10, 20), (1.0, 2.0)), 3.0, 3.0),
        ("final", Curve((10, 20), (1.0, 2.0)), None, 2.0),
        ("final", Curve(), None, None),
        # Trapezoids: (10 * (0 + 6) / 2 + 30 * (6 + 2) / 2) / 40.
        ("auc", Curve((0, 10, 40), (0.0, 6.0, 2.0)), 9.0, 3.75),
        ("auc", Curve((10,), (6.0,)), 9.0, None),
        # Even games choose the second evaluation, which odd games score 4; the other way round 2.
        ("best", Curve((1, 2), (3.5, 3.0), ((2.0, 5.0), (2.5, 4.0))), 9.0, 3.0),
        ("best", Curve((1, 2), (3.5, 3.0)), 9.0, None),
    ],
)
def test_objectives_worked_by_hand(objective, curve, final, value):
    assert measure(objective, curve, final) == value


def test_a_diverged_run_scores_what_is_stated_whatever_its_curve_reached(copy):
    folder, trial = some_run(copy)
    change(folder / "status.json", status="diverged", eval_return=-7.0)
    for objective in ("final", "auc", "best"):
        run = run_of(read_table(copy, objective), trial)
        assert (run.status, run.objective) == ("diverged", -7.0)
    change(folder / "status.json", status="diverged", eval_return=None, final_return=None)
    row = next(row for row in read_table(copy).rows if row.id == trial)
    assert row.seeds[0].objective is None
    assert row.objective is None  # the other seed alone would flatter the trial


@pytest.mark.parametrize("value", [1e308, -1e308, 10**300])
def test_a_return_without_bounds_counts_at_a_stated_one(copy, value):
    folder, trial = some_run(copy)
    change(folder / "status.json", eval_return=value)
    table = read_table(copy)
    assert run_of(table, trial).objective == math.copysign(1e100, value)
    assert table.problems == (f"{folder}: returns beyond 1e+100 count as 1e+100",)


def test_what_never_ran_or_has_not_ended_has_no_score(copy):
    folder, trial = some_run(copy)
    change(folder / "status.json", status="running")
    assert run_of(read_table(copy), trial).objective is None
    shutil.rmtree(folder)
    table = read_table(copy)
    assert run_of(table, trial) == SeedRun(0, "missing")
    assert table.problems == ()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("status.json", '{"status": "comp', "status.json: torn or not JSON"),
        ("status.json", "[]", "status.json: expected a JSON object"),
        ("status.json", '{"status": "fine"}', "not the planned trial"),
        ("config.json", '{"config": {"seeds": [5]}}', "not the planned trial"),
        ("config.json", '{"config": 3}', "not the planned trial"),
        ("eval.jsonl", '{"env_steps": 1}\n{"env\n{}\n', "eval.jsonl: line 2 is damaged"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_read(copy, name, content, words):
    folder, trial = some_run(copy)
    (folder / name).write_text(content)
    table = read_table(copy)
    assert len(table.problems) == 1
    assert str(folder) in table.problems[0]
    assert words in table.problems[0]
    assert len(table.rows) == 6
    assert run_of(table, trial).status == ("completed" if name == "eval.jsonl" else "missing")


def test_a_trial_nobody_planned_is_left_out_by_name(copy):
    (copy / "trials" / "other").mkdir()
    table = read_table(copy)
    assert table.problems == (f"{copy}/trials/other: not a planned trial, left out",)
    assert len(table.rows) == 6


def test_a_configuration_other_than_planned_is_left_out(copy):
    folder, trial = some_run(copy)
    document = json.loads((folder / "config.json").read_text())
    document["config"]["hparams"]["gamma"] = 0.5
    (folder / "config.json").write_text(json.dumps(document))
    assert run_of(read_table(copy), trial).status == "missing"


def test_the_curve_of_training_stands_in_for_missing_evaluations(copy):
    folder, trial = some_run(copy)
    (folder / "eval.jsonl").unlink()
    rows = [{"env_steps": s, "episode_return_mean": r} for s, r in ((20, 2), (10, None), (20, 3))]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run_of(read_table(copy), trial).curve == Curve((20,), (3.0,))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("{", "torn or not JSON"),
        ("{}", "has no schema"),
        ('{"schema": 99}', "update rl-eval"),
    ],
)
def test_a_directory_without_a_sweep_is_one_line(tmp_path, content, words):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(RecordError, match=words) as error:
        read_table(tmp_path)
    assert str(tmp_path / "sweep.json") in str(error.value)
    assert "\n" not in str(error.value)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["config.json", "status.json", "eval.jsonl"]),
    keep=st.integers(0, 3000),
    extra=st.binary(max_size=20),
)
def test_any_damage_to_a_run_leaves_a_table(tmp_path, name, keep, extra):
    if not (tmp_path / "sweep.json").exists():
        write(tmp_path, trials=2, seeds=(0,))
    file = sorted(tmp_path.glob(f"trials/*/seed-0/{name}"))[0]
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:keep] + extra)
        table = read_table(tmp_path)
    finally:
        file.write_bytes(whole)
    assert len(table.rows) == 2
    assert all("\n" not in problem for problem in table.problems)


def test_the_csv_says_what_the_table_says(table, tmp_path):
    path = write_csv(table, tmp_path / "trials.csv")
    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(table.rows) == 8
    for line, row in zip(lines, table.rows, strict=True):
        assert (line["trial"], line["env"], line["optimizer"]) == (row.id, row.env, row.optimizer)
        assert float(line["optimizer.learning_rate"]) == row.values["optimizer.learning_rate"]
        assert (line["optimizer.mult_1d"] == "") == (row.optimizer == "adamw")
        assert float(line["objective"]) == row.objective
        assert int(line["diverged"]) == row.count("diverged")
        assert float(line["objective_seed_1"]) == row.seeds[1].objective


def test_no_two_values_are_written_alike_in_the_csv(table, tmp_path):
    key = "optimizer.mult_1d"
    given = ["", None, "none", "null", True, 1, "1", 0.1 + 0.2, 0.3]
    rows = [dataclasses.replace(table.rows[0], values={key: value}) for value in given]
    rows.append(dataclasses.replace(table.rows[0], values={}))
    path = write_csv(dataclasses.replace(table, rows=tuple(rows)), tmp_path / "trials.csv")
    with path.open() as file:
        written = [line[key] for line in csv.DictReader(file)]
    assert len(set(written)) == len(rows)
    assert written[-1] == ""


def test_trials_are_grouped_once_for_every_view(table):
    assert {key: len(rows) for key, rows in table.groups.items()} == {
        ("probe/landscape", "celo2"): 4,
        ("probe/landscape", "adamw"): 4,
    }
    for rows in table.scored.values():
        assert [row.objective for row in rows] == sorted(row.objective for row in rows)


def axis(scale, low=None, high=None, values=()):
    return AxisRecord("optimizer.x", "x", scale, low, high, values)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (axis("log", 1e-5, 1e-2), axis("log", 1e-3, 1.0), axis("log", 1e-5, 1.0)),
        (axis("linear", 0.0, 1.0), axis("log", 1e-3, 2.0), axis("linear", 0.0, 2.0)),
        (axis("choice", values=(0.0, 0.1)), axis("choice", values=(0.01,)),
         axis("choice", values=(0.0, 0.01, 0.1))),
        (axis("choice", values=("b", "a")), axis("choice", values=("c", "a")),
         axis("choice", values=("b", "a", "c"))),
        (axis("choice", values=(True, "1")), axis("choice", values=(1, None)),
         axis("choice", values=(True, "1", 1, None))),
        (axis("choice", values=(0.0, 0.1)), axis("log", 1e-6, 1e-2), axis("log", 1e-6, 0.1)),
    ],
)  # fmt: skip
def test_one_axis_for_the_ranges_of_two_optimizers(a, b, expected):
    assert union(a, b) == expected


def test_the_axes_are_those_of_all_optimizers_ppo_last(table):
    assert [axis.name for axis in table.axes] == [
        "learning_rate",
        "weight_decay",
        "mult_1d",
        "gamma",
        "gae_lambda",
        "ent_coef",
        "num_minibatches",
    ]


def test_rows_count_every_seed():
    runs = [
        SeedRun(0, "completed", 1.0),
        SeedRun(1, "diverged", FLOOR),
        SeedRun(2, "completed", 5.0),
    ]
    row = Row("a", "adamw", "env", {}, tuple(runs))
    assert row.objective == 2.0
    assert (row.count("completed"), row.count("diverged"), row.count("failed")) == (2, 1, 0)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"3"])
def test_no_content_of_a_file_is_more_than_one_line_of_error(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(RecordError, match=r"x\.json: "):
        read_object(tmp_path / "x.json")
