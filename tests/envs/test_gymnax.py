from __future__ import annotations

import functools

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.envs.base import Layout, step_keys
from rl_eval.envs.gymnax import MINATAR, GymnaxEnv

SLOW = {"Asterix-MinAtar", "Seaquest-MinAtar"}  # to compile


@pytest.mark.parametrize(
    "env_id",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in ("CartPole-v1", *MINATAR)
    ],
)
def test_our_step_and_autoreset_are_those_of_gymnax(env_id, random_actions):
    """From every state on the way: same successor, endings and final observation; bool is exact.

    The limit is short enough that episodes end both ways. Freeway can only be cut off.
    """
    limit = 12
    env = GymnaxEnv(env_id, Layout(8), limit)
    reference, params = gymnax.make(env_id)
    params = params.replace(max_steps_in_episode=limit)

    def both(state, action):
        keys = step_keys(state.key, state.steps)
        theirs = jax.vmap(reference.step, (0, 0, 0, None))(keys, state.inner, action, params)
        state, ours = env.step(state, action)
        return state, (ours, state.inner, theirs)

    actions = jnp.asarray(random_actions(env, 60))
    play = jax.jit(lambda state, actions: jax.lax.scan(both, state, actions)[1])
    ours, inner, theirs = jax.tree.map(np.asarray, play(env.reset()[0], actions))
    obs, state, reward, terminated, truncated, info = theirs
    close = functools.partial(np.testing.assert_allclose, atol=1e-6)  # CartPole fuses otherwise
    jax.tree.map(close, inner, state)
    close(ours.obs, obs)
    close(ours.next_obs, info["final_observation"])
    np.testing.assert_array_equal(ours.reward, reward)
    np.testing.assert_array_equal(ours.terminated, terminated)
    np.testing.assert_array_equal(ours.truncated, truncated & ~terminated.astype(bool))
    assert ours.truncated.any()
    assert ours.terminated.any() or env_id in ("Freeway-MinAtar", "SpaceInvaders-MinAtar")


def test_a_second_chunk_compiles_nothing():
    env = GymnaxEnv("Breakout-MinAtar", Layout(2))
    traces = []

    @jax.jit
    def advance(state):
        traces.append(1)
        return env.step(state, jnp.zeros(2, jnp.int32))[0]

    advance(advance(env.reset()[0]))
    assert len(traces) == 1
