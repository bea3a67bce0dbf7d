"""A bound that knows of failures that were not drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from rl_eval.stats.compare import lower_bound, mean_difference
from rl_eval.stats.unseen import cautious_lower_bound, imaginary_failures, unseen_rate


@pytest.mark.parametrize("runs", [5, 14, 56])
@pytest.mark.parametrize("level", [0.05, 0.001])
def test_runs_that_are_all_alike_have_the_exact_bound_of_a_share(runs, level):
    got = cautious_lower_bound(np.ones((runs, 1)), np.zeros(1), level)
    assert got == pytest.approx(1 - beta.ppf(1 - level, 1, runs))  # Clopper and Pearson's
    assert unseen_rate(runs, level) == pytest.approx(beta.ppf(1 - level, 1, runs))


def test_one_failure_in_five_cannot_hide_from_fourteen_runs():
    assert unseen_rate(13, 0.05) > 0.2 > unseen_rate(14, 0.05)


def test_many_runs_leave_little_room_for_failures():
    values = np.random.default_rng(0).normal(1, 0.1, (2000, 1))
    plain = lower_bound(mean_difference(values, np.zeros_like(values)), 0.05)
    got = cautious_lower_bound(values, np.zeros(1), 0.05)
    assert plain - 0.005 < got < plain
    assert imaginary_failures(2000, 0.05) < 2


def test_a_failure_that_costs_nothing_changes_little():
    values = np.random.default_rng(0).normal(0, 1, (30, 1))
    plain = lower_bound(mean_difference(values, np.zeros_like(values)), 0.05)
    got = cautious_lower_bound(values, np.full(1, 9.0), 0.05)
    assert got == pytest.approx(plain, abs=0.03)


def test_the_bound_is_right_in_nineteen_of_twenty_where_failures_are_rare():
    """Ten thousand samples of runs of which one in ten fails."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random((10_000, 20, 1)) < 0.1, 0.0, 1.0)
    low = cautious_lower_bound(values, np.zeros((10_000, 1)), 0.05)
    assert (low > 0.9).mean() <= 0.05 + 0.007
