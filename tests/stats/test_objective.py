"""One number per trial, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.stats import objective


def test_divergence_counts_at_the_floor_and_nothing_else_changes():
    scores = np.array([1.0, np.nan, -np.inf, 4.0])
    np.testing.assert_array_equal(objective.floored(scores, -2.0), [1.0, -2.0, -2.0, 4.0])
    diverged = np.array([True, False, False, False])
    np.testing.assert_array_equal(objective.floored(scores, 0.5, diverged), [0.5, 0.5, 0.5, 4.0])


def test_the_area_weighs_each_stretch_by_its_length():
    steps = np.array([0.0, 1.0, 3.0])
    curves = np.array([[0.0, 2.0, 2.0], [5.0, 5.0, 5.0]])
    np.testing.assert_allclose(objective.area_under_curve(steps, curves), [5 / 3, 5.0])
    for bad in (steps[:1], steps[::-1], np.array([0.0, 1.0, 1.0])):
        with pytest.raises(ValueError, match="rising env steps"):
            objective.area_under_curve(bad, np.zeros(len(bad)))


def test_final_is_the_mean_of_the_last_evaluations():
    curve = np.array([[9.0, 1.0, 3.0]])
    assert objective.final(curve) == [3.0]
    assert objective.final(curve, points=2) == [2.0]


def test_the_best_checkpoint_is_scored_by_episodes_that_did_not_choose_it():
    # Even episodes choose the second point, odd ones the first.
    assert objective.best_checkpoint(np.array([[1.0, 3.0], [4.0, 0.0]])) == 0.5
    with pytest.raises(ValueError, match="two episodes"):
        objective.best_checkpoint(np.zeros((3, 1)))


def test_more_checkpoints_of_the_same_policy_are_not_better():
    noise = np.random.default_rng(0).normal(size=(4000, 20, 4))
    assert noise.mean(axis=-1).max(axis=-1).mean() > 0.8
    assert abs(objective.best_checkpoint(noise).mean()) < 0.03


def test_seed_noise_is_told_from_the_spread_between_trials():
    got = objective.seed_noise(np.array([[0.0, 2.0], [10.0, 12.0]]))
    np.testing.assert_allclose(got, [np.sqrt(2), 1.0, 0.98])
    only_noise = np.random.default_rng(0).normal(size=(500, 3))
    assert objective.seed_noise(only_noise).reliability < 0.1
    assert objective.seed_noise(np.ones((3, 2))) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="two trials of two runs"):
        objective.seed_noise(np.ones((3, 1)))
