"""One member's part of a population's state, and a population put together from its members."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.ppo.state import TrainState


def take_member(state: TrainState, member: int, members: int) -> TrainState:
    """The state of a population of one: learner leaves [1, ...], environments [num_envs, ...].

    Environments may be left out as None.
    """

    def envs(x: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
        size = x.shape[0] // members
        return x[member * size : (member + 1) * size]

    return TrainState(
        learner=jax.tree.map(lambda x: x[member : member + 1], state.learner),
        env_state=jax.tree.map(envs, state.env_state),
        obs=jax.tree.map(envs, state.obs),
        episodes=jax.tree.map(envs, state.episodes),
    )


def join_members(states: Sequence[TrainState]) -> TrainState:
    """The population whose members' states these are."""
    if len(states) == 1:
        return states[0]
    return jax.tree.map(lambda *xs: jnp.concatenate(xs), *states)
