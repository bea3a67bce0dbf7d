from __future__ import annotations

import json

import pytest
from run.test_sinks import row

from rl_eval.records.finite import finite, plain
from rl_eval.records.run import EvalRow, RecordError, RunDirectory, read_lines, read_object
from rl_eval.records.scored import check_alone, lost_its_score

NOT = [float("nan"), float("inf"), float("-inf")]


def test_what_json_cannot_hold_is_null_however_deep():
    assert [finite(x) for x in NOT] == [None] * 3
    given = {"a": NOT, "b": {"c": (1.5, float("nan"))}, "d": [True, 3, "nan", None]}
    assert plain(given) == {"a": [None] * 3, "b": {"c": [1.5, None]}, "d": given["d"]}


@pytest.mark.parametrize("bad", NOT)
def test_every_record_of_a_run_takes_numbers_that_are_not_finite(tmp_path, bad):
    directory, told = RunDirectory(tmp_path / "run"), []
    directory.also = told.append
    directory.create({}, {})
    directory.append(row(loss=bad, episode_return_mean=bad))
    mean, games = (bad, None, 1.0, None, 2.0), ([1.0, bad], [2, 2])
    directory.append(EvalRow(1, 64, None, 16, 0.5, "greedy", False, 2, *mean, *games))
    directory.set_status("completed", final_return=bad)
    directory.set_cost({"sps": bad, "state_bytes_by_leaf": {"a": 1}})
    metrics, evaluation = (
        read_lines(directory.path / name)[0][0] for name in ("metrics.jsonl", "eval.jsonl")
    )
    assert (metrics["loss"], evaluation["returns"]) == (None, [1.0, None])
    assert read_object(directory.path / "status.json")["final_return"] is None
    assert read_object(directory.path / "cost.json")["sps"] is None
    assert told[0].loss is None  # what TensorBoard and others are told
    assert told[1].returns == [1.0, None]


def test_a_lost_score_is_not_replaced_by_one_of_training():
    assert lost_its_score({"evaluated": True, "eval_return": None, "final_return": 3.0})
    assert not lost_its_score({"evaluated": True, "eval_return": 1.0})
    assert not lost_its_score({"eval_return": None, "final_return": 3.0})  # an older record


def test_a_run_trained_beside_others_is_refused_where_runs_are_trained_alone(tmp_path):
    def record(**provenance):
        (tmp_path / "config.json").write_text(json.dumps({"provenance": provenance}))

    for sound in ({"trained_with": 1}, {}):
        record(**sound)
        check_alone(tmp_path)
    record(trained_with=4)
    with pytest.raises(RecordError, match="one of 4 members at once"):
        check_alone(tmp_path)
