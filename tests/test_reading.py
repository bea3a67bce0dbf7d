"""Records read back, whatever became of them."""

from __future__ import annotations

import json
import shutil

import polars
import pytest
from cli.test_train import CARTPOLE, rl_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.reading import eval_frame, metrics_frame, read_population, read_run
from rl_eval.records.comparison import read_compare
from rl_eval.records.run import SCHEMA, EvalRow, MetricsRow, RecordError
from rl_eval.records.sweep import read_sweep
from rl_eval.run.checkpoint import CheckpointError
from rl_eval.run.trained import load_trained


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("records") / "run"
    args = ["--seeds", "4,2", "--eval-every", "320", "--eval-episodes", "2", "--no-cost"]
    assert rl_eval(*CARTPOLE, *args, "--out", str(out)) == 0
    return out


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run" / "seed-4"


def test_a_frame_has_a_typed_column_for_every_field(run):
    metrics, evaluations = metrics_frame(run), eval_frame(run)
    assert metrics.columns == list(MetricsRow.__dataclass_fields__)
    assert evaluations.columns == list(EvalRow.__dataclass_fields__)
    assert metrics["env_steps"].to_list() == list(range(64, 641, 64))
    assert metrics["frames"].dtype == polars.Int64
    assert evaluations["returns"].dtype == polars.List(polars.Float64)
    assert evaluations["return_mean"].to_list() == [
        pytest.approx(sum(r) / 2) for r in evaluations["returns"].to_list()
    ]


def test_seeds_come_back_in_the_order_they_were_given(whole):
    assert [r.config.seeds for r in read_population(whole)] == [(4,), (2,)]


def test_a_torn_last_line_is_dropped(run):
    file = run / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    assert metrics_frame(run)["env_steps"].to_list() == list(range(64, 577, 64))


def test_a_damaged_line_in_the_middle_is_named(run):
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join([lines[0], lines[1][:30] + "\n", *lines[2:]]))
    with pytest.raises(RecordError, match=r"metrics.jsonl: line 2"):
        metrics_frame(run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema=SCHEMA + 1), r"schema \d+ is newer"),
        (lambda d: d.pop("schema"), "no schema"),
        (lambda d: d["config"].pop("ppo"), "ppo is missing"),
        (lambda d: d["config"].update(extra=1), "unknown key extra"),
        (lambda d: d.pop("config"), "config"),
    ],
)
def test_a_foreign_or_newer_record_is_refused_by_name(run, change, words):
    document = json.loads((run / "config.json").read_text())
    change(document)
    (run / "config.json").write_text(json.dumps(document))
    with pytest.raises(RecordError, match=rf"config.json.*{words}"):
        read_run(run)


def test_directories_of_two_runs_are_not_read_as_one(run):
    document = json.loads((run / "config.json").read_text())
    document["config"]["hparams"]["gamma"] = 0.5
    (run / "config.json").write_text(json.dumps(document))
    with pytest.raises(RecordError, match="not one run's"):
        read_population(run.parent)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_damage_to_a_record_is_more_than_an_error_that_names_it(whole, tmp_path_factory, data):
    run = tmp_path_factory.getbasetemp() / "damaged"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(whole / "seed-4", run)
    files = ["config.json", "status.json", "metrics.jsonl", "eval.jsonl"]
    file = run / data.draw(st.sampled_from(files))
    old = file.read_bytes()
    at = data.draw(st.integers(0, len(old) - 1))
    junk = data.draw(st.binary(max_size=12))
    keep = data.draw(st.sampled_from([at, at + len(junk), len(old)]))
    file.write_bytes(old[:at] + junk + old[keep:])
    try:
        read_run(run)
        metrics_frame(run)
        eval_frame(run)
    except RecordError as error:
        assert str(run) in str(error)
        assert "\n" not in str(error)


def test_the_best_policy_is_the_one_with_the_best_evaluation(run):
    evaluated = eval_frame(run)
    best = evaluated.sort("return_mean", descending=True)["iteration"][0]
    assert load_trained(run, "best").iteration == best
    assert load_trained(run).iteration == 10


def test_a_run_without_checkpoints_says_what_is_missing(run):
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(CheckpointError, match="no checkpoint is there"):
        load_trained(run)
    with pytest.raises(CheckpointError, match="--eval-every"):
        load_trained(run, "best")
    with pytest.raises(RecordError, match="nowhere"):
        load_trained(run / "nowhere")


def test_a_member_that_a_kill_came_before_is_part_of_its_population(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "seed-2")
    (tmp_path / "run" / "seed-2").mkdir()
    (tmp_path / "run" / "seed-2" / ".config.json.a.part").touch()
    runs = read_population(tmp_path / "run")
    assert [(r.config.seeds, r.status is None) for r in runs] == [((4,), False), ((2,), True)]
    (tmp_path / "run" / "seed-2" / "metrics.jsonl").touch()
    with pytest.raises(RecordError, match="seed-2: not a run directory"):
        read_population(tmp_path / "run")


def test_a_status_that_a_power_cut_emptied_is_as_one_that_was_not_written(run):
    (run / "status.json").write_bytes(bytes(300))
    assert read_run(run).status is None


@pytest.mark.parametrize(
    ("read", "file"), [(read_sweep, "sweep.json"), (read_compare, "compare.json")]
)
def test_a_study_of_a_newer_version_says_to_update_whatever_else_is_new(tmp_path, read, file):
    (tmp_path / file).write_text(json.dumps({"schema": SCHEMA + 1, "fitness": {}}))
    with pytest.raises(RecordError, match=f"{file}: schema {SCHEMA + 1} is newer.*update rl-eval"):
        read(tmp_path)
    (tmp_path / file).write_text("{}")
    with pytest.raises(RecordError, match=f"{file}: not a record of this program"):
        read(tmp_path)
