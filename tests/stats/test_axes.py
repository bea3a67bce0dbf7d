"""Arrays of the wrong shape are refused by name."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from rl_eval.stats import landscape, objective
from rl_eval.stats.axes import named, paired

RUN_ENV = r"axis -2 is run, axis -1 is env"


def test_a_wrong_rank_says_which_axis_is_which():
    with pytest.raises(ValueError, match=r"\[run env\] \(" + RUN_ENV + r"\).*shape \(5,\)"):
        named(np.zeros(5), "run env")
    with pytest.raises(ValueError, match=RUN_ENV):
        named(np.zeros((2, 3, 4)), "run env")
    with pytest.raises(ValueError, match=RUN_ENV):
        named(np.zeros(5), "... run env")
    assert named(np.zeros((2, 3, 4), dtype=int), "... run env").dtype == np.float64


AS_USERS_CALL_THEM = """
import numpy as np
from rl_eval.stats import aggregate, bootstrap, compare, profiles
one_env, rng = np.zeros(4), np.random.default_rng(0)
for call in (
    *aggregate.AGGREGATES.values(),
    lambda s: bootstrap.interval(aggregate.iqm, s, rng=rng),
    lambda s: compare.probability_of_improvement(s, s),
    lambda s: compare.mean_difference(s, s),
    lambda s: compare.iqm_difference(s, s),
    lambda s: profiles.profile(s, np.zeros(1)),
):
    try:
        call(one_env)
    except ValueError as error:
        assert "axis -2 is run, axis -1 is env" in str(error), error
    else:
        raise AssertionError("accepted")
"""


def test_scores_without_an_env_axis_are_refused_also_where_annotations_are_not_checked():
    ran = subprocess.run([sys.executable, "-c", AS_USERS_CALL_THEM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_an_empty_axis_is_named():
    with pytest.raises(ValueError, match="the axis 'run' is empty"):
        named(np.zeros((0, 3)), "run env")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_run_cannot_slip_in_as_not_a_number(value):
    scores = np.zeros((3, 2))
    scores[1, 1] = value
    with pytest.raises(ValueError, match="1 of 6 values are not finite"):
        named(scores, "run env")


def test_pairs_need_one_shape():
    with pytest.raises(ValueError, match=r"candidate and baseline are paired.*\(3, 2\).*\(4, 2\)"):
        paired(np.zeros((3, 2)), np.zeros((4, 2)), "run env", "candidate baseline")


def test_other_axes_have_their_own_names():
    with pytest.raises(ValueError, match="axis -1 is trial"):
        inspect.unwrap(landscape.basin_width)(np.float64(1.0))
    with pytest.raises(ValueError, match="axis -2 is point, axis -1 is episode"):
        inspect.unwrap(objective.best_checkpoint)(np.zeros(3))
