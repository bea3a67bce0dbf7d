"""What a run is said to have cost."""

from __future__ import annotations

import json

import pytest
from cli.test_train import SMALL, rl_eval

# CartPole, hidden layer of 8, two torsos: (4*8 + 8) * 2 + (8*2 + 2) + (8 + 1) parameters.
PARAMETERS = 107
RUN = ["train", "--env", "CartPole-v1", "--total-timesteps", "640", *SMALL]


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """cost.json of an evaluated run, by optimizer."""
    found = {}
    for name in ("sgd", "adam"):
        out = tmp_path_factory.mktemp("cost") / name
        args = ["--optimizer", name, "--eval-every", "320", "--eval-episodes", "2"]
        assert rl_eval(*RUN, *args, "--seeds", "0,1", "--out", str(out)) == 0
        found[name] = json.loads((out / "seed-0" / "cost.json").read_text())
        assert (out / "seed-1" / "cost.json").is_file()
    return found


def test_bytes_are_counted_leaf_by_leaf_for_one_seed(costs):
    adam = costs["adam"]
    assert adam["param_bytes"] == 4 * PARAMETERS
    leaves = adam["state_bytes_by_leaf"]
    assert sum(v for k, v in leaves.items() if ".mu" in k) == 4 * PARAMETERS
    assert sum(v for k, v in leaves.items() if ".nu" in k) == 4 * PARAMETERS
    assert adam["state_bytes"] == sum(leaves.values())
    assert adam["state_multiple"] == pytest.approx(2, abs=0.05)
    assert costs["sgd"]["state_multiple"] == pytest.approx(1, abs=0.05)  # its momentum


def test_times_are_apart_and_add_up(costs):
    for cost in costs.values():
        assert cost["optimizer_step_ms"] > 0
        steps = 2 * 640 // 64 * 16
        spent = cost["optimizer_step_ms"] / 1e3 * steps
        assert cost["optimizer_share"] == pytest.approx(spent / cost["run_s"])
        assert cost["sps"] == pytest.approx(2 * 640 / cost["run_s"])
        both = cost["run_s"] + cost["eval_s"]
        assert cost["sps_with_evaluation"] == pytest.approx(2 * 640 / both)
        assert cost["compile_s"] > 0
        assert cost["peak_rss_bytes"] > 50e6


def test_it_can_be_left_out(tmp_path):
    assert rl_eval(*RUN, "--out", str(tmp_path / "run"), "--no-cost") == 0
    assert not (tmp_path / "run" / "cost.json").exists()
