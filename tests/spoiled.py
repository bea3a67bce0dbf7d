"""A probe in which some members meet rewards or observations that are not finite."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.envs.base import Layout
from rl_eval.envs.probes import ProbeEnv

REWARDS = (0.0, np.nan, np.inf, -np.inf)  # by code; 0 spoils nothing
OBSERVATIONS = (np.nan, np.inf)  # by code - len(REWARDS)
CODES = tuple(range(len(REWARDS) + len(OBSERVATIONS)))  # one for each member of a population


class SpoiledState(NamedTuple):
    """The probe's state, and the code of each environment, which is no part of the program."""

    inner: Any
    code: jax.Array


class Spoiled(ProbeEnv):
    """Member i has codes[i], which acts from step `since` on."""

    def __init__(self, layout: Layout, codes=CODES, since=0, jittable=True):
        super().__init__("probe/both", layout)
        self.codes = np.repeat(np.array(codes, np.int32), layout.num_envs)
        self.since, self.jittable = since, jittable

    def reset(self):
        inner, obs = super().reset()
        state = SpoiledState(inner, jnp.asarray(self.codes))
        return self._given(state, self._spoil(state, obs))

    def step(self, state, action):
        inner, step = super().step(state.inner, jnp.asarray(action))
        after = SpoiledState(inner, state.code)
        bad = (state.code > 0) & (state.code < len(REWARDS)) & (inner.steps > self.since)
        reward = jnp.where(bad, jnp.array(REWARDS)[state.code % len(REWARDS)], step.reward)
        step = step._replace(
            obs=self._spoil(after, step.obs),
            next_obs=self._spoil(after, step.next_obs),
            reward=reward,
            episode=step.episode._replace(reward=reward),
        )
        return self._given(after, step)

    def _spoil(self, state, obs):
        which = state.code - len(REWARDS)
        bad = (which >= 0) & (state.inner.steps > self.since)
        return jnp.where(bad[:, None], jnp.array(OBSERVATIONS)[which][:, None], obs)

    def _given(self, state, answer):
        return state, answer if self.jittable else jax.tree.map(np.asarray, answer)
