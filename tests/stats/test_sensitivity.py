"""Sensitivity and dimensionality of landscapes with known answers."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest

from rl_eval.stats import sensitivity as s

GRID = np.array(list(itertools.product([0, 1], [0, 1])))  # learning rate, irrelevant
# The first env wants a low learning rate, the second a high one.
TRUTH = np.array([[1.0, 0.6], [1.0, 0.6], [0.5, 1.0], [0.5, 1.0]])


def runs(truth, noise, seed, count=4):
    rng = np.random.default_rng(seed)
    return truth[:, None] + noise * rng.normal(size=(len(truth), count, truth.shape[1]))


def test_the_published_formulas_by_hand():
    got = s.tuned(TRUTH, TRUTH, GRID)
    np.testing.assert_allclose(got, [1.0, 0.8, 0.2, 1])
    insensitive = s.tuned(TRUTH[:, :1], TRUTH[:, :1], GRID)
    np.testing.assert_allclose(insensitive, [1.0, 1.0, 0.0, 0])


def test_an_interaction_needs_both_of_its_hyperparameters():
    """Default (0, 0); the second env is good only where both have moved."""
    truth = np.array([[1.0, 0.7], [0.2, 0.1], [0.2, 0.1], [0.0, 1.0]])
    np.testing.assert_allclose(s.tuned(truth, truth, GRID), [1.0, 0.85, 0.15, 2])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("drop", [0, 7])
def test_dimensionality_equals_enumeration_also_on_holey_designs(seed, drop):
    rng = np.random.default_rng(seed)
    levels = rng.permutation(list(itertools.product(range(3), range(2), range(3), range(2))))[drop:]
    scores = rng.random((len(levels), 3)) ** 2
    default = scores.mean(axis=1).argmax()
    least = None
    for size in range(5):
        reached = []
        for free in itertools.combinations(range(4), size):
            held = [h for h in range(4) if h not in free]
            open_to_it = np.all(levels[:, held] == levels[default, held], axis=1)
            reached.append(scores[open_to_it].max(axis=0).mean())
        if least is None and max(reached) >= 0.95 * scores.max(axis=0).mean():
            least = size
    got = s.tuned(scores, scores, levels)
    assert got.dimensionality == least
    assert got.per_env == pytest.approx(scores.max(axis=0).mean())
    assert got.across_envs == pytest.approx(scores.mean(axis=1).max())


def test_noise_alone_is_no_sensitivity():
    """60 equal settings, ten sweeps: only the published formulas see a difference."""
    levels = np.array(list(itertools.product(range(5), range(4), range(3))))
    rng = np.random.default_rng(1)
    sweeps = [
        s.sensitivity(runs(np.full((60, 3), 0.5), 0.2, seed), levels, rng, resamples=40)
        for seed in range(10)
    ]
    published, held_out = (
        np.mean([getattr(g, part) for g in sweeps], axis=0) for part in ("published", "held_out")
    )
    assert published[0] > 0.65
    assert published[2] > 0.08
    np.testing.assert_allclose(held_out[:3], [0.5, 0.5, 0.0], atol=0.03)
    assert sum(g.low.sensitivity <= 0 <= g.high.sensitivity for g in sweeps) >= 9
    assert all(g.complete for g in sweeps)


def test_without_noise_the_interval_is_the_truth():
    got = s.sensitivity(runs(TRUTH, 0.0, 0), GRID, np.random.default_rng(0), resamples=20)
    for part in (got.published, got.held_out, got.low, got.high):
        np.testing.assert_allclose(part, [1.0, 0.8, 0.2, 1], atol=1e-12)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """80 sweeps of a ridge, 3 seeds each; nominal 95 %, two standard errors allowed."""
    rng = np.random.default_rng(0)
    held = []
    for seed in range(80):
        got = s.sensitivity(runs(TRUTH, 0.1, seed, count=3), GRID, rng, resamples=60)
        truth = [1.0, 0.8, 0.2, 1]
        held.append([a <= t <= b for a, t, b in zip(got.low, truth, got.high, strict=True)])
    assert np.all(np.mean(held, axis=0) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 80))


def test_missing_settings_are_owned_up_to():
    scores = runs(TRUTH, 0.1, 0)
    rng = np.random.default_rng(0)
    assert not s.sensitivity(scores[:3], GRID[:3], rng, resamples=10).complete
    scattered = s.levels_of([np.arange(9.0)])
    assert scattered[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_columns_become_levels():
    got = s.levels_of([[1e-3, 1e-2, 1e-3], ["relu", "gelu", "relu"], [True, True, False]])
    np.testing.assert_array_equal(got, [[0, 1, 1], [1, 0, 1], [0, 1, 0]])


@pytest.mark.parametrize(
    ("scores", "levels", "message"),
    [
        (np.ones((4, 1, 2)), GRID, "at least two seeds"),
        (np.ones((4, 2, 2)), GRID[:3], "with 4 configs"),
        (-np.ones((4, 2, 2)), GRID, "normalise scores"),
        (np.ones((4, 2, 2)), np.zeros((4, 17), int), "too many subsets"),
    ],
)
def test_what_cannot_be_answered_is_refused(scores, levels, message):
    with pytest.raises(ValueError, match=message):  # unwrapped: as users call it, unannotated
        inspect.unwrap(s.sensitivity)(scores, levels, np.random.default_rng(0), resamples=2)
