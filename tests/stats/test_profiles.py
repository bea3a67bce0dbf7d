"""Performance profiles."""

from __future__ import annotations

import numpy as np

from rl_eval.stats.profiles import profile, profile_band

SCORES = np.array([[0.0, 1.0], [0.5, 2.0]])


def test_a_profile_is_the_share_of_runs_strictly_above_each_score():
    got = profile(SCORES, np.array([-1.0, 0.0, 0.5, 0.7, 1.0, 2.0]))
    np.testing.assert_array_equal(got, [1.0, 0.75, 0.5, 0.5, 0.25, 0.0])


def test_the_band_is_pointwise_and_holds_the_profile():
    scores = np.random.default_rng(0).random((30, 4))
    thresholds = np.linspace(-0.5, 1.5, 11)
    got = profile_band(scores, thresholds, np.random.default_rng(1))
    np.testing.assert_array_equal(got.estimate, profile(scores, thresholds))
    assert np.all((got.low <= got.estimate) & (got.estimate <= got.high))
    middle = len(thresholds) // 2  # half of 120 runs lie above: a binomial's standard error
    np.testing.assert_allclose(
        got.high[middle] - got.low[middle], 2 * 1.96 * np.sqrt(0.25 / 120), rtol=0.15
    )
    assert got.high[0] - got.low[0] == got.high[-1] - got.low[-1] == 0
