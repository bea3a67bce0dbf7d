"""Playing a scripted sequence of actions in any environment."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.types import Environment, Step

Roll = Callable[[Environment, np.ndarray], tuple[np.ndarray, Step]]


@pytest.fixture(scope="session")
def roll() -> Roll:
    """`roll(env, actions [time, env])`: first observation, and the steps as numpy [time, env]."""

    def play(env: Environment, actions: np.ndarray) -> tuple[np.ndarray, Step]:
        state, obs = env.reset()
        if env.jittable:
            steps = jax.jit(lambda s, a: jax.lax.scan(env.step, s, a)[1])(
                state, jnp.asarray(actions, jnp.int32)
            )
        else:
            taken = []
            for action in actions:
                state, step = env.step(state, action)
                taken.append(step)
            steps = jax.tree.map(lambda *leaves: np.stack(leaves), *taken)
        return np.asarray(obs), jax.tree.map(np.asarray, steps)

    return play


@pytest.fixture(scope="session")
def random_actions() -> Callable[[Environment, int], np.ndarray]:
    """`random_actions(env, num_steps)`: [time, env], the same ones every time."""

    def draw(env: Environment, num_steps: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        return rng.integers(env.num_actions, size=(num_steps, env.num_envs)).astype(np.int32)

    return draw
