"""Comparisons against scipy, rliable, enumeration, textbook formulas and stated error rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from rliable import metrics

from rl_eval.stats import compare
from rl_eval.stats.aggregate import iqm

RNG = np.random.default_rng(0)
X, Y = RNG.normal(0.3, 1, (9, 3)), RNG.normal(0, 1, (9, 3))


def test_probability_of_improvement_counts_ties_half():
    x, y = np.array([[1.0], [2.0]]), np.array([[1.0], [0.0]])
    assert compare.probability_of_improvement(x, y) == 0.875
    assert compare.probability_of_improvement(x, x) == 0.5


def test_probability_of_improvement_equals_rliables_with_ties_and_uneven_runs():
    x, y = np.round(X, 1), np.round(Y, 1)[:6]
    ours = compare.probability_of_improvement(x, y)
    assert ours == pytest.approx(metrics.probability_of_improvement(x, y))
    assert compare.probability_of_improvement(y, x) == pytest.approx(1 - ours)


def test_the_difference_of_means_is_the_paired_t_test():
    got = compare.mean_difference(X, Y)
    for margin, ours in ((0.0, compare.p_worse(got, 0.0)), (0.2, compare.p_worse(got, 0.2))):
        theirs = scipy.stats.ttest_rel(X, Y - margin, alternative="less", axis=0).pvalue
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
        np.testing.assert_allclose(compare.p_no_worse(got, margin), 1 - theirs, rtol=1e-10)
    ends = scipy.stats.ttest_rel(X, Y, axis=0).confidence_interval(0.9)
    np.testing.assert_allclose(compare.lower_bound(got, 0.05), ends.low, rtol=1e-10)
    np.testing.assert_allclose(compare.upper_bound(got, 0.05), ends.high, rtol=1e-10)


def test_the_difference_of_interquartile_means_of_one_env_is_yuens_paired_test():
    """Sums of squares and products of winsorised scores over h (h - 1), with df = h - 1."""
    x, y = X[:, :1], Y[:, :1]
    got = compare.iqm_difference(x, y)
    cut, kept = 2, 5  # of nine
    winsorised = [np.clip(s[:, 0], *np.sort(s[:, 0])[[cut, -1 - cut]]) for s in (x, y)]
    products = np.cov(*winsorised) * 8
    squared = (products[0, 0] + products[1, 1] - 2 * products[0, 1]) / (kept * (kept - 1))
    assert got.estimate == pytest.approx(iqm(x) - iqm(y))
    assert got.standard_error == pytest.approx(np.sqrt(squared))
    assert got.df == pytest.approx(kept - 1)


def test_below_four_scores_the_interquartile_mean_is_a_mean_and_its_test_the_t_test():
    x, y = X[:3, :1], Y[:3, :1]
    interquartile, mean = compare.iqm_difference(x, y), compare.mean_difference(x, y)
    np.testing.assert_allclose(np.ravel(interquartile), np.ravel(mean))


@pytest.mark.parametrize("envs", [1, 2, 4])
@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("distribution", ["normal", "lognormal", "collapsing"])
def test_bounds_of_the_interquartile_mean_err_no_more_often_than_they_say(runs, envs, distribution):
    """8000 sets of paired runs without a difference, both sides, two standard errors allowed."""
    rng = np.random.default_rng(runs * 10 + envs)

    def draw():
        noise = rng.normal(0, 0.1, (8000, runs, envs))
        if distribution == "lognormal":
            noise = np.exp(6 * noise) / 5
        if distribution == "collapsing":
            noise -= 0.6 * (rng.random(noise.shape) < 0.2)
        return noise + np.linspace(0.2, 1.4, envs)

    got = compare.iqm_difference(draw(), draw())
    wrong = np.mean([compare.lower_bound(got, 0.05) > 0, compare.upper_bound(got, 0.05) < 0])
    assert wrong <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 16_000)


def test_a_stack_of_comparisons_is_compared_one_by_one():
    x, y = RNG.normal(size=(2, 6, 7, 3))
    for difference in (compare.mean_difference, compare.iqm_difference):
        stacked = difference(x, y)
        single = [difference(a, b) for a, b in zip(x, y, strict=True)]
        for leaf, leaves in zip(stacked, zip(*single, strict=True), strict=True):
            np.testing.assert_allclose(leaf, leaves)


def test_equal_runs_are_surely_no_worse_and_a_loss_without_spread_is_surely_one():
    same = compare.mean_difference(X, X)
    np.testing.assert_array_equal(compare.p_no_worse(same, 0.1), 0.0)
    np.testing.assert_array_equal(compare.p_worse(same, 0.1), 1.0)
    np.testing.assert_array_equal(compare.lower_bound(same, 1e-30), 0.0)
    flat = np.full((4, 2), 1.0)
    for difference in (compare.mean_difference, compare.iqm_difference):
        lost = difference(flat - 0.5, flat)
        np.testing.assert_array_equal(compare.p_worse(lost, 0.1), 0.0)
        np.testing.assert_array_equal(compare.p_worse(lost, 0.5), 0.5)  # at the margin exactly


def test_too_few_runs_to_show_a_spread_are_refused():
    with pytest.raises(ValueError, match="2 paired runs per env do not show their spread"):
        compare.mean_difference(X[:2], Y[:2])


def test_holm_steps_down_until_the_first_that_fails():
    levels = 0.05 / np.arange(1, 5)
    p_values = np.array(
        [[0.01, 0.04, 0.03, 0.005], [0.013, 0.014, 0.015, 0.016], [0.0, 0.0, 0.0, 0.0]]
    )
    got = compare.holm(p_values, levels)
    np.testing.assert_array_equal(got, [[True, False, False, True], [False] * 4, [True] * 4])


def test_a_rise_of_failures_on_one_env_is_fishers_exact_test():
    for ours, theirs in itertools.product(range(6), range(6)):
        table = [[ours, 5 - ours], [theirs, 5 - theirs]]
        expected = scipy.stats.fisher_exact(table, alternative="greater").pvalue
        got = compare.rise(np.array([ours]), np.array([theirs]), 5)
        assert got == pytest.approx(expected)
    assert compare.rise(np.array([5]), np.array([0]), 5) == pytest.approx(1 / 252)


def test_a_rise_on_several_envs_is_the_share_of_relabellings_within_envs():
    candidate = np.array([[True, False], [True, True], [False, True]])
    baseline = np.array([[False, False], [True, False], [False, False]])
    counts = [
        [sum(pool[i] for i in pick) for pick in itertools.combinations(range(6), 3)]
        for pool in np.concatenate([candidate, baseline]).T
    ]
    totals = np.add.outer(*map(np.array, counts))
    got = compare.rise(candidate.sum(axis=0), baseline.sum(axis=0), 3)
    assert got == pytest.approx((totals >= 4).mean())


def test_no_failure_at_all_is_no_rise():
    none, all_of_them = np.zeros(3, int), np.full(3, 5)
    assert compare.rise(none, none, 5) == 1.0
    assert compare.rise(none, all_of_them, 5) == pytest.approx(1.0)


def test_a_rise_of_many_gates_at_once_is_that_of_each():
    counts = np.random.default_rng(0).integers(0, 5, (2, 30, 3))
    together = compare.rise(*counts, 8)
    alone = [compare.rise(*counts[:, i], 8) for i in range(30)]
    np.testing.assert_allclose(together, alone)
