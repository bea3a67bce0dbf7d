"""Sensitivity and dimensionality of landscapes with known answers."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest
from scipy.stats import qmc

from rl_eval.stats import sensitivity as s
from rl_eval.stats.tuning import tuned
from rl_eval.stats.values import Column

GRID = np.array(list(itertools.product([0, 1], [0, 1])))  # learning rate, irrelevant
# The first env wants a low learning rate, the second a high one.
TRUTH = np.array([[1.0, 0.6], [1.0, 0.6], [0.5, 1.0], [0.5, 1.0]])


def as_columns(levels):
    return [Column(values) for values in np.transpose(levels)]


def runs(truth, noise, seed, count=4):
    rng = np.random.default_rng(seed)
    return truth[:, None] + noise * rng.normal(size=(len(truth), count, truth.shape[1]))


def test_the_published_formulas_by_hand():
    got = tuned(TRUTH, TRUTH, GRID)
    np.testing.assert_allclose(got, [1.0, 0.8, 0.2, 1])
    insensitive = tuned(TRUTH[:, :1], TRUTH[:, :1], GRID)
    np.testing.assert_allclose(insensitive, [1.0, 1.0, 0.0, 0])


def test_an_interaction_needs_both_of_its_hyperparameters():
    """Default (0, 0); the second env is good only where both have moved."""
    truth = np.array([[1.0, 0.7], [0.2, 0.1], [0.2, 0.1], [0.0, 1.0]])
    np.testing.assert_allclose(tuned(truth, truth, GRID), [1.0, 0.85, 0.15, 2])


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
    got = tuned(scores, scores, levels)
    assert got.dimensionality == least
    assert got.per_env == pytest.approx(scores.max(axis=0).mean())
    assert got.across_envs == pytest.approx(scores.mean(axis=1).max())


def test_noise_alone_is_no_sensitivity():
    """60 equal settings, ten sweeps: only the published formulas see a difference."""
    levels = np.array(list(itertools.product(range(5), range(4), range(3))))
    rng = np.random.default_rng(1)
    sweeps = [
        s.sensitivity(runs(np.full((60, 3), 0.5), 0.2, seed), as_columns(levels), rng, resamples=40)
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
    got = s.sensitivity(
        runs(TRUTH, 0.0, 0), as_columns(GRID), np.random.default_rng(0), resamples=20
    )
    for part in (got.published, got.held_out, got.low, got.high):
        np.testing.assert_allclose(part, [1.0, 0.8, 0.2, 1], atol=1e-12)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """80 sweeps of a ridge, 3 seeds each; nominal 95 %, two standard errors allowed."""
    rng = np.random.default_rng(0)
    held = []
    for seed in range(80):
        got = s.sensitivity(runs(TRUTH, 0.1, seed, count=3), as_columns(GRID), rng, resamples=40)
        truth = [1.0, 0.8, 0.2, 1]
        held.append([a <= t <= b for a, t, b in zip(got.low, truth, got.high, strict=True)])
    assert np.all(np.mean(held, axis=0) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 80))


# ---- designs that are no grid, and grids of many values ------------------------------------


def gaussian(places, centre, width=0.12):
    return np.exp(-0.5 * ((places - centre) / width) ** 2)


def found(columns, scores, noise=0.0, seed=0, resamples=8):
    rng = np.random.default_rng(seed)
    noisy = scores[:, None] + noise * rng.normal(size=(len(scores), 4, scores.shape[1]))
    return s.sensitivity(noisy, as_columns(np.transpose(columns)), rng, resamples=resamples)


def test_moving_by_two_of_nine_values_is_tuning_and_not_free():
    """The envs are best at the values 1 and 3 of 9, which are neighbours to any three bins."""
    rates = np.arange(9.0)
    scores = np.stack([gaussian(rates, 1, 0.8), gaussian(rates, 3, 0.8)], axis=1)
    got = found([rates], scores)
    assert got.complete
    assert got.published.sensitivity > 0.3
    assert [part.dimensionality for part in got[:4]] == [1, 1, 1, 1]


def shifted(points, rng):
    """Env 0 wants a low, env 1 a high value of the first; nothing else matters."""
    return np.stack([gaussian(points[:, 0], c) for c in (0.25, 0.7)], axis=1), 1


def shifted_twice(points, rng):
    both = [(0.25, 0.2), (0.7, 0.8)]
    first, second = points[:, 0], points[:, 1]
    parts = [gaussian(first, a) * gaussian(second, b, 0.15) for a, b in both]
    return np.stack(parts, axis=1), 2


def alike(points, rng):
    return np.stack([gaussian(points[:, 0], 0.5)] * 2, axis=1), 0


def unrelated(points, rng):
    return rng.random((len(points), 2)), None


LANDSCAPES = (shifted, shifted_twice, alike, unrelated)


@pytest.mark.parametrize("landscape", LANDSCAPES)
@pytest.mark.parametrize(("axes", "noise"), [(2, 0.0), (5, 0.1)])
def test_of_64_sobol_points_the_ends_hold_the_truth_and_the_model_meets_it(landscape, axes, noise):
    points = qmc.Sobol(axes, seed=1).random(64)
    scores, truth = landscape(points, np.random.default_rng(1))
    got = found(points.T, scores, noise)
    if truth is None:  # which a model cannot know
        assert np.isnan(got.published.dimensionality)
        assert (got.low.dimensionality, got.high.dimensionality) == (1, axes)
        return
    assert got.low.dimensionality <= truth <= got.high.dimensionality
    assert got.published.dimensionality == got.held_out.dimensionality == truth
    assert got.complete == (got.model is None)


def test_one_hyperparameter_of_64_values_counts_as_one():
    """Half of what can be had is lost without tuning it, so it cannot be none."""
    points = qmc.Sobol(1, seed=0).random(64)[:, 0]
    scores = np.stack([gaussian(points, 0.1, 0.05), gaussian(points, 0.9, 0.05)], axis=1)
    got = found([points], scores)
    assert got.published.sensitivity == pytest.approx(0.5, abs=0.01)
    assert got.published.dimensionality == 1


def test_an_interaction_is_seen_on_a_random_design():
    """Each env is good only where both have moved the same way from 0.3: two, not one."""
    points = qmc.Sobol(3, seed=2).random(64)
    centres = (0.3, 0.7)
    scores = np.stack(
        [gaussian(points[:, 0], c, 0.2) * gaussian(points[:, 1], c, 0.2) for c in centres], axis=1
    )
    assert found(points.T, scores).published.dimensionality == 2


def test_the_order_of_the_settings_changes_nothing():
    """Saturated scores are full of ties."""
    rng = np.random.default_rng(3)
    levels = np.array(list(itertools.product(range(4), range(3))))
    scores = np.minimum(rng.normal(0.8, 0.5, size=(12, 4, 3)), 1.0)
    order = rng.permutation(12)
    for choose, score in ((scores[:, :2], scores[:, 2:]), (scores, scores)):
        first, second = choose.mean(axis=1).round(1), score.mean(axis=1)
        assert tuned(first[order], second[order], levels[order]) == pytest.approx(
            tuned(first, second, levels)
        )


def test_of_equally_good_settings_none_is_preferred_by_what_it_scored():
    choose, score = np.ones((4, 1)), np.array([[1.0], [0.0], [0.0], [0.0]])
    assert tuned(choose, score, GRID)[:3] == pytest.approx((0.25, 0.25, 0.0))


def test_values_that_look_alike_are_different_levels():
    """Written with four digits, 0.99995 and 0.999995 are both 1."""
    columns = [Column([0.99995, 0.99995, 0.999995, 0.999995]), Column([1, True, 1, True])]
    np.testing.assert_array_equal(s.levels_of(columns), [[0, 1], [0, 0], [1, 1], [1, 0]])


@pytest.mark.parametrize(
    ("scores", "levels", "message"),
    [
        (np.ones((4, 1, 2)), GRID, "at least two seeds"),
        (np.ones((4, 2, 2)), GRID[:3], "have 4 configs"),
        (-np.ones((4, 2, 2)), GRID, "normalise scores"),
    ],
)
def test_what_cannot_be_answered_is_refused(scores, levels, message):
    with pytest.raises(ValueError, match=message):  # unwrapped: as users call it, unannotated
        inspect.unwrap(s.sensitivity)(
            scores, as_columns(levels), np.random.default_rng(0), resamples=2
        )
