"""Aggregates equal rliable's, and hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
from rliable import metrics

from rl_eval.stats import aggregate

SHAPES = [(1, 1), (2, 1), (3, 1), (3, 4), (5, 4), (10, 26), (7, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (aggregate.mean, metrics.aggregate_mean),
        (aggregate.median, metrics.aggregate_median),
        (aggregate.iqm, metrics.aggregate_iqm),
        (aggregate.optimality_gap, metrics.aggregate_optimality_gap),
        (
            lambda s: aggregate.optimality_gap(s, 0.3),
            lambda s: metrics.aggregate_optimality_gap(s, 0.3),
        ),
    ],
)
def test_point_estimates_equal_rliables(ours, theirs, shape):
    scores = np.random.default_rng(0).lognormal(size=shape)
    np.testing.assert_allclose(ours(scores), theirs(scores), rtol=1e-13)


def test_the_interquartile_mean_drops_a_quarter_from_each_end():
    scores = np.array([[-100.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 1000.0]])
    assert aggregate.iqm(scores) == 3.5  # of 2, 3, 4, 5
    assert aggregate.median(scores) == 3.5  # of -48, 3, 4, 501.5
    assert aggregate.mean(scores) == scores.mean()


def test_what_exceeds_the_target_does_not_make_up_for_a_shortfall():
    assert aggregate.optimality_gap(np.array([[0.5, 7.0]])) == 0.25


def test_an_interquartile_mean_of_few_runs_says_that_it_is_a_mean():
    assert "plain mean of 3 scores" in aggregate.iqm_note(3, 1)
    assert aggregate.iqm_note(3, 4) == "mean of the middle 6 of 12 scores"
    outlier = np.array([[0.0], [0.0], [9.0]])
    assert aggregate.iqm(outlier) == 3.0


@pytest.mark.parametrize("statistic", aggregate.AGGREGATES.values(), ids=aggregate.AGGREGATES)
def test_a_stack_of_resamples_is_aggregated_one_by_one(statistic):
    stack = np.random.default_rng(1).normal(size=(6, 5, 3))
    np.testing.assert_allclose(statistic(stack), [statistic(s) for s in stack])
