"""Loss and time features: the warm-up, spikes, and losses of any sign."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optimizers.learned.parts.loss_features import (
    init_loss_statistics,
    loss_features,
    time_features,
)

NUM_STEPS = 50


@jax.jit
def run(losses):
    """Features of each step."""

    def step(carry, loss):
        statistics, count = carry
        statistics, features = loss_features(statistics, loss, count, NUM_STEPS)
        return (statistics, count + 1), features

    carry, features = jax.lax.scan(step, (init_loss_statistics(), 0), losses)
    return carry[0], features


def defined(losses):
    """The rule in float64."""
    decays = np.exp(-1 / np.logspace(1, np.log10(NUM_STEPS), 10))
    means, running_min, features = np.zeros(10), np.full(10, 999999999999.0), []
    for count, loss in enumerate(np.float64(losses)):
        correction = 1 - decays ** (count + 1)
        largest = loss if count == 0 else (means / correction).max()
        loss = min(2 * abs(largest), loss)
        means = means * decays + loss * (1 - decays)
        mean = means / correction
        running_min = np.minimum(running_min, mean)
        place = (mean[:-1] - running_min[:-1]) / np.maximum(1e-8, mean[1:] - running_min[:-1])
        features.append(np.clip(place - 1, -1, 1) * (count + 1 > 2))
    return np.array(features)


@pytest.mark.parametrize(
    "losses",
    [
        [2.0, 1.5, 1.8, 1.2, 9.0, 1.0, 0.9, 30.0, 0.7, 1.1],
        [-1.0, -1.5, -0.8, -2.0, -2.5, -2.2, -1.9, -3.0, -2.8, -3.5],
        [0.5, -0.5, 0.4, 0.2, -0.7, 0.9, -0.1, 0.3, -0.2, 0.6],
    ],
    ids=["positive with spikes", "negative", "of both signs"],
)
def test_features_follow_the_definition(losses):
    _, features = run(jnp.array(losses))
    np.testing.assert_allclose(features, defined(losses), atol=2e-3)


@pytest.mark.parametrize("losses", [[1.0, 5.0], [-1.0, -5.0], [0.0, 0.0]], ids=str)
def test_first_two_steps_have_none(losses):
    _, features = run(jnp.array([*losses, 3.0]))
    assert not features[:2].any()
    assert features[2].any()


def test_a_falling_loss_is_at_its_minimum():
    _, features = run(jnp.linspace(2.0, 1.0, 5))
    assert (features[2:] == -1).all()


def test_the_first_loss_is_the_first_average():
    statistics, _ = run(jnp.array([-3.0]))
    np.testing.assert_allclose(statistics.running_min, -3.0, rtol=1e-5)


def test_a_spike_counts_as_twice_the_average():
    spiked, _ = run(jnp.array([1.0, 1.0, 1e6]))
    doubled, _ = run(jnp.array([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(spiked.means, doubled.means, rtol=1e-4)


def test_time_runs_through_its_thresholds():
    start, middle, end = (time_features(step, NUM_STEPS) for step in (0, NUM_STEPS // 2, NUM_STEPS))
    assert (start < 0).all()
    assert (middle > 0).tolist() == [True] * 4 + [False] * 5
    np.testing.assert_allclose(end[-2:], np.tanh([0.0, -1.0]), atol=1e-6)
