"""Boundaries of group-sequential tests against published ones and against simulated paths."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.stats.sequential import boundaries, nominal_levels, obrien_fleming_spending

FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.mark.parametrize(
    ("fractions", "published"),
    [
        (FIFTHS, [4.877, 3.357, 2.680, 2.290, 2.031]),
        ((1 / 3, 2 / 3, 1.0), [3.710, 2.511, 1.993]),
        ((0.5, 1.0), [2.963, 1.969]),
        ((1.0,), [1.960]),
    ],
)
def test_boundaries_of_obrien_fleming_spending_are_the_published_ones(fractions, published):
    """Lan-DeMets with O'Brien-Fleming spending, one-sided 0.025."""
    np.testing.assert_allclose(boundaries(fractions, 0.025), published, atol=6e-4)


def test_simulated_paths_cross_as_often_as_was_spent():
    """One-sided 0.05 at uneven looks; 400 000 paths, three standard errors."""
    fractions = np.array([0.3, 0.5, 0.9, 1.0])
    steps = np.sqrt(np.diff(fractions, prepend=0))
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.normal(size=(400_000, 4)) * steps, axis=1) / np.sqrt(fractions)
    crossed = np.maximum.accumulate(paths > boundaries(tuple(fractions), 0.05), axis=1).mean(axis=0)
    spent = np.array([obrien_fleming_spending(t, 0.05) for t in fractions])
    assert spent[-1] == pytest.approx(0.05)
    assert np.all(np.abs(crossed - spent) < 3 * np.sqrt(spent / 400_000))


def test_a_larger_alpha_is_larger_at_every_look():
    """What Holm's procedure needs of a spending function at more than one look."""
    small, large = nominal_levels(FIFTHS, 0.01), nominal_levels(FIFTHS, 0.05)
    assert np.all(small < large)
    assert small[0] > 0


@pytest.mark.parametrize(
    ("fractions", "alpha", "message"),
    [
        ((), 0.05, "rising fractions"),
        ((0.5, 0.5), 0.05, "rising fractions"),
        ((0.5, 1.1), 0.05, "rising fractions"),
        ((1.0,), 0.5, "one-sided alpha"),
        ((1.0,), 0.0, "one-sided alpha"),
    ],
)
def test_looks_and_alpha_that_make_no_sense_are_refused(fractions, alpha, message):
    with pytest.raises(ValueError, match=message):
        boundaries(fractions, alpha)
