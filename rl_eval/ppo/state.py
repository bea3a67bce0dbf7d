"""Everything a run needs to go on."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from rl_eval.config import PPOHparams
from rl_eval.types import EnvState

NOT_DIVERGED = -1

Leaf = Any  # an array, or what stands for it while jax transforms the tree around it


class Hparams(NamedTuple):
    """Traced numbers: PPO's, and the optimizer's by name."""

    gamma: Float[Array, "*member"]
    gae_lambda: Float[Array, "*member"]
    clip_eps: Float[Array, "*member"]
    vf_coef: Float[Array, "*member"]
    ent_coef: Float[Array, "*member"]
    max_grad_norm: Float[Array, "*member"]
    target_kl: Float[Array, "*member"]
    optimizer: dict[str, Float[Array, "*member"]]


def traced(ppo: PPOHparams, optimizer: dict[str, float]) -> Hparams:
    """Configured numbers as scalars; an absent limit is infinite."""
    limits = {
        name: jnp.inf if getattr(ppo, name) is None else getattr(ppo, name)
        for name in ("max_grad_norm", "target_kl")
    }
    plain = {name: getattr(ppo, name) for name in Hparams._fields[:5]}
    numbers = {name: jnp.float32(value) for name, value in {**plain, **limits}.items()}
    return Hparams(**numbers, optimizer={k: jnp.float32(v) for k, v in optimizer.items()})


@struct.dataclass
class LearnerState:
    """A learner between two iterations; a population has a leading axis on every leaf.

    `iteration` and `gradient_steps` count what was done; both are int32.

    `key` is the run's root key: streams are folded out of it by purpose and iteration.
    `diverged_at` is the gradient step at which updates stopped for good, or NOT_DIVERGED.
    """

    params: Any
    opt_state: Any
    hparams: Any
    key: Leaf
    iteration: Leaf
    gradient_steps: Leaf
    diverged_at: Leaf


@struct.dataclass
class TrainState:
    """The ONE state of a run: learner [member, ...], environments and their scores [env, ...]."""

    learner: Any
    env_state: EnvState
    obs: Leaf
    episodes: Any


def is_alive(state: LearnerState) -> jax.Array:
    """Whether the member is still being updated."""
    return state.diverged_at == NOT_DIVERGED
