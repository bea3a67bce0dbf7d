"""Width, luck and marginals of landscapes small enough to enumerate."""

from __future__ import annotations

import itertools

import numpy as np

from rl_eval.stats import bootstrap, landscape


def test_the_basin_is_measured_from_the_floor_to_the_best():
    scores = np.array([1.0, 0.96, 0.91, 0.6, 0.0])
    np.testing.assert_allclose(landscape.basin_width(scores), [0.4, 0.6, 0.8])
    # Acrobot-like returns: the floor is -500, and shifting all changes nothing.
    np.testing.assert_allclose(landscape.basin_width(scores - 500, floor=-500.0), [0.4, 0.6, 0.8])
    np.testing.assert_array_equal(landscape.basin_width(np.zeros(4)), 0.0)
    stack = np.stack([scores, scores[::-1]])
    np.testing.assert_allclose(landscape.basin_width(stack), [[0.4, 0.6, 0.8]] * 2)


def test_the_seed_noise_of_a_basin_is_bootstrapped_with_trials_in_place_of_envs():
    returns = np.array([1.0, 0.97, 0.5]) + np.array([[-0.1], [0.1]]) * [1.0, 1.0, 0.0]
    got = bootstrap.interval(
        lambda runs: landscape.basin_width(runs.mean(axis=-2)),
        returns,
        rng=np.random.default_rng(0),
    )
    np.testing.assert_allclose(got.estimate, [2 / 3, 2 / 3, 1.0])
    np.testing.assert_allclose([got.low[0], got.high[0]], [1 / 3, 2 / 3])


def test_best_of_k_is_the_mean_over_all_subsets():
    scores = np.array([3.0, -1.0, 3.0, 7.0, 0.5, 2.0])
    expected = [
        np.mean([max(pick) for pick in itertools.combinations(scores, k)]) for k in range(1, 7)
    ]
    np.testing.assert_allclose(landscape.expected_best_of_k(scores), expected)


def test_best_of_k_by_other_seeds_does_not_reward_luck():
    rng = np.random.default_rng(0)
    choose, score = rng.normal(size=(2, 400))
    assert landscape.expected_best_of_k(choose)[49] > 2
    assert abs(landscape.expected_best_of_k(choose, score)[49] - score.mean()) < 0.4
    two = landscape.expected_best_of_k(np.array([0.0, 1.0]), np.array([5.0, 2.0]))
    np.testing.assert_allclose(two, [3.5, 2.0])


def test_best_of_k_of_a_thousand_trials_stays_exact():
    got = landscape.expected_best_of_k(np.arange(1.0, 1001.0))
    k = np.arange(1, 1001)
    np.testing.assert_allclose(got, k * 1001 / (k + 1), rtol=1e-9)  # of a uniform draw of integers


def by_enumeration(choose, score, k):
    """Mean over all subsets of size k of the mean score of those that are best to choose."""
    picks = [list(pick) for pick in itertools.combinations(range(len(choose)), k)]
    return np.mean([score[p][choose[p] == choose[p].max()].mean() for p in picks])


def test_ties_do_not_tell_what_was_held_out():
    """Sorted by the mean of both, the last of two that are equal to choose is the better."""
    got = landscape.expected_best_of_k(np.array([500.0, 500.0]), np.array([100.0, 500.0]))
    np.testing.assert_allclose(got, [300, 300])
    rng = np.random.default_rng(0)
    choose, score = rng.integers(0, 3, 9) + 0.0, rng.normal(size=9)
    wanted = [by_enumeration(choose, score, k) for k in range(1, 10)]
    np.testing.assert_allclose(landscape.expected_best_of_k(choose, score), wanted)
    order = np.argsort(choose + score)
    again = landscape.expected_best_of_k(choose[order], score[order])
    np.testing.assert_allclose(again, wanted)


def test_rounding_makes_no_tie_a_difference():
    choose = np.array([0.1 + 0.5, 0.2 + 0.4])  # 0.6 and 0.6000000000000001
    assert choose[0] != choose[1]
    got = landscape.expected_best_of_k(choose, np.array([1.0, 0.0]))
    np.testing.assert_allclose(got, [0.5, 0.5])


def test_sizes_are_all_of_few_and_some_of_many():
    assert landscape.sizes_of_k(5).tolist() == [1, 2, 3, 4, 5]
    some = landscape.sizes_of_k(10_000)
    assert (some[0], some[-1]) == (1, 10_000)
    assert len(some) < 100
    values = np.arange(60.0)
    np.testing.assert_allclose(
        landscape.expected_best_of_k(values, k=np.array([7, 60])),
        landscape.expected_best_of_k(values)[[6, 59]],
    )


def test_a_marginal_over_a_grid_has_one_entry_per_value():
    rates = np.array([1e-3, 1e-2, 1e-3, 1e-2])
    scores = np.array([[0.0, 1.0], [10.0, 11.0], [2.0, 3.0], [12.0, 13.0]])
    got = landscape.marginal(rates, scores, log=True)
    np.testing.assert_array_equal(got.value, [1e-3, 1e-2])
    np.testing.assert_allclose(got.median, [1.5, 11.5])
    np.testing.assert_allclose(got.low, [0.75, 10.75])
    np.testing.assert_allclose(got.high, [2.25, 12.25])
    np.testing.assert_array_equal(got.runs, [4, 4])


def test_a_continuous_marginal_is_binned_in_the_logarithm():
    rates = np.array([1e-4, 2e-4, 1e-3, 5e-3, 1e-2])
    got = landscape.marginal(rates, rates[:, None], log=True, bins=2)
    np.testing.assert_allclose(got.value, [10**-3.5, 10**-2.5])
    np.testing.assert_allclose(got.median, [1.5e-4, 5e-3])
    np.testing.assert_array_equal(got.runs, [2, 3])
    linear = landscape.marginal(rates, rates[:, None], bins=3)
    np.testing.assert_array_equal(linear.runs, [3, 1, 1])
    gap = landscape.marginal(np.array([0.0, 0.1, 0.2, 10.0]), np.ones((4, 1)), bins=3)
    np.testing.assert_array_equal(gap.runs, [3, 1])


def test_categories_keep_their_names():
    got = landscape.marginal(["gelu", "relu", "gelu"], np.array([[1.0], [5.0], [3.0]]))
    assert got.value.tolist() == ["gelu", "relu"]
    np.testing.assert_allclose(got.median, [2.0, 5.0])


def test_a_rate_of_zero_has_a_place_beside_the_bins_of_a_logarithm():
    rates = np.array([0.0, *np.geomspace(1e-6, 1.0, 12)])
    got = landscape.marginal(rates, np.ones((13, 2)), log=True, bins=3)
    assert got.value[0] == 0.0
    np.testing.assert_allclose(got.value[1:], [1e-5, 1e-3, 1e-1])
    assert got.runs.tolist() == [2, 8, 8, 8]


def test_values_of_different_kinds_are_groups_of_their_own():
    got = landscape.marginal([True, 1, "1", None, 1.0], np.arange(5.0)[:, None])
    assert got.value.tolist() == [None, True, 1, "1"]
    assert got.median.tolist() == [3, 0, 2.5, 2]


def test_the_widest_range_of_numbers_has_bins():
    values = np.linspace(-1, 1, 21) * 1.7e308
    got = landscape.marginal(values, np.ones((21, 1)), bins=4)
    assert np.all(np.isfinite(got.value))
    assert got.runs.sum() == 21
