"""Advantages: against rlax, by hand, and with invalid steps mixed in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from rl_eval.ppo.gae import compute_gae
from rl_eval.types import Transition

GAMMA, LAMBDA = jnp.float32(0.97), jnp.float32(0.9)


def stream(seed, time=40, envs=5):
    """A random stream in which episodes terminate and are truncated."""
    rng = np.random.default_rng(seed)
    ends = rng.random((time, envs))
    value = rng.normal(size=(time, envs)).astype(np.float32)
    next_value = rng.normal(size=(time, envs)).astype(np.float32)
    ended = ends < 0.2
    # Inside an episode the successor's value is the next row's.
    next_value[:-1] = np.where(ended[:-1], next_value[:-1], value[1:])
    return Transition(
        obs=np.zeros((time, envs, 1), np.float32),
        action=np.zeros((time, envs), np.int32),
        log_prob=np.zeros((time, envs), np.float32),
        value=value,
        next_value=next_value,
        reward=rng.normal(size=(time, envs)).astype(np.float32),
        terminated=ends < 0.1,
        truncated=(ends >= 0.1) & ended,
        valid=np.ones((time, envs), bool),
    )


def gae(batch):
    return np.asarray(compute_gae(jax.tree.map(jnp.asarray, batch), GAMMA, LAMBDA))


@pytest.mark.parametrize("seed", range(3))
def test_equals_rlax_on_each_episode_of_a_mixed_stream(seed):
    batch = stream(seed)
    ours = gae(batch)
    for env in range(ours.shape[1]):
        ended = (batch.terminated | batch.truncated)[:, env]
        starts = [0, *(np.flatnonzero(ended) + 1)]
        for begin, end in zip(starts, [*starts[1:], len(ended)], strict=True):
            if begin == end:
                continue
            part = slice(begin, end)
            discount = GAMMA * (1 - batch.terminated[part, env])
            values = np.append(batch.value[part, env], batch.next_value[end - 1, env])
            theirs = rlax.truncated_generalized_advantage_estimation(
                batch.reward[part, env], discount, LAMBDA, values
            )
            np.testing.assert_allclose(ours[part, env], theirs, rtol=1e-5, atol=1e-6)


def test_two_steps_by_hand():
    one = stream(0, time=2, envs=1)
    batch = one._replace(
        reward=np.array([[1.0], [2.0]], np.float32),
        value=np.array([[0.5], [0.25]], np.float32),
        next_value=np.array([[0.25], [4.0]], np.float32),
        terminated=np.zeros((2, 1), bool),
        truncated=np.array([[False], [True]]),
    )
    last = 2.0 + 0.97 * 4.0 - 0.25
    first = 1.0 + 0.97 * 0.25 - 0.5 + 0.97 * 0.9 * last
    np.testing.assert_allclose(gae(batch)[:, 0], [first, last], rtol=1e-6)


def test_termination_ignores_the_bootstrap_value():
    batch = stream(1)
    terminated = np.ones_like(batch.terminated)
    advantages = gae(batch._replace(terminated=terminated))
    np.testing.assert_allclose(advantages, batch.reward - batch.value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("position", [0, 7, 20, 40])
def test_an_invalid_step_anywhere_changes_no_other_advantage(position):
    batch = stream(2)
    junk = jax.tree.map(lambda x: np.full_like(x[:1], 7), batch)
    junk = junk._replace(valid=np.zeros((1, 5), bool), terminated=np.ones((1, 5), bool))
    longer = jax.tree.map(lambda x, y: np.concatenate([x[:position], y, x[position:]]), batch, junk)
    advantages = gae(longer)
    assert (advantages[position] == 0).all()
    np.testing.assert_array_equal(np.delete(advantages, position, axis=0), gae(batch))
