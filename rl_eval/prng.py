"""Every random stream is (seed, purpose, index), so adding a stream never shifts another."""

from __future__ import annotations

import enum

import jax
import numpy as np


class Purpose(enum.IntEnum):
    """What a stream is for. Numbers are part of every published result: append, never renumber."""

    PARAMS = 0
    ACT = 1
    SHUFFLE = 2
    ENV = 3
    OPTIMIZER = 4
    EVAL_ENV = 5
    EVAL_ACT = 6


def stream(seed: jax.typing.ArrayLike, purpose: Purpose) -> jax.Array:
    """The key of one purpose of one run."""
    return jax.random.fold_in(jax.random.key(seed), int(purpose))


def env_seeds(seed: int, num_envs: int, purpose: Purpose = Purpose.ENV) -> np.ndarray:
    """One 31-bit seed per environment, for simulators that take integers. int32 [num_envs]."""
    words = np.random.SeedSequence([seed, int(purpose)]).generate_state(num_envs, np.uint32)
    return (words >> 1).astype(np.int32)
