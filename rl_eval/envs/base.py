"""The environment contract, in words, and what the backends share.

Every backend hands the learner the same `Step` (rl_eval/types.py), whatever it does at the end of
an episode:

| backend        | when an episode ends                     | obs != next_obs | invalid steps     |
|----------------|------------------------------------------|-----------------|-------------------|
| gymnax, probes | reset in the same step                   | on that step    | none              |
| gymnasium, ale | reset in the same step (its SAME_STEP)   | on that step    | none              |
| envpool        | reset by the next step, which ignores    | never           | those after the   |
|                | its action and gives reward 0; so also   |                 | end of an episode |
|                | after a lost life under `episodic_life`, |                 | or a lost life    |
|                | though the game goes on                  |                 |                   |

Rules that hold for all of them:

- Flat over env: `num_envs` = members x environments per member, row-major. An environment's stream
  follows from (seed, purpose, index within its member) alone, so a member's experience does not
  change with its neighbours.
- `terminated` and `truncated` are never both true. An episode that ends by its own rules on the
  very step its time limit strikes is terminated: nothing is left to bootstrap.
- `next_obs` is the observation this action led to, also where the episode ended.
- On an invalid step both rewards are 0, `terminated` and `truncated` False.
- `episode` is the full game: unclipped reward, over at game over or time limit. It can be over on
  an invalid step: envpool plays no-ops after a lost life, and they may cost the last one.
- Time limits count agent steps, never emulator frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from rl_eval.prng import Purpose, env_seeds, stream

Env = TypeVar("Env")

_INDICES = 2**31


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which environments a pool holds, as [member, env], and the random stream of each.

    Attributes:
        num_envs: environments per member.
        seeds: one per member; traced ones are not checked, and `keys` is traced too.
        purpose: keeps training and evaluation streams apart.
        index: which of several pools for one purpose, such as those of a run's evaluations; each
            has streams of its own. May be traced, by which `keys` is traced too.
    """

    num_envs: int
    seeds: tuple[int | Int[Array, ""], ...] = (0,)
    purpose: Purpose = Purpose.ENV
    index: int | Int[Array, ""] = 0

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {self.num_envs}")
        if not self.seeds:
            raise ValueError("seeds must name at least one seed, got none")
        if any(isinstance(seed, int) and not 0 <= seed < 2**31 for seed in self.seeds):
            raise ValueError(f"seeds must lie in [0, 2**31), got {list(self.seeds)}")
        if isinstance(self.index, int) and not 0 <= self.index < _INDICES:
            raise ValueError(f"index must lie in [0, 2**31), got {self.index}")

    @property
    def total(self) -> int:
        """Environments of the whole pool."""
        return self.num_envs * len(self.seeds)

    def keys(self) -> Key[Array, " env"]:
        """The stream of every environment, for simulators written in JAX."""
        envs = jnp.arange(self.num_envs)
        fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
        return jnp.concatenate([fold(self._root(seed), envs) for seed in self.seeds])

    def int_seeds(self) -> Int[np.ndarray, " env"]:
        """The stream of every environment, for simulators that are seeded with an integer."""
        return np.concatenate([self._words(int(seed)) for seed in self.seeds])

    def _root(self, seed: int | Int[Array, ""]) -> Key[Array, ""]:
        root = stream(seed, self.purpose)
        # Beyond the numbers of environments, which are folded into the root of index 0.
        other = jax.random.fold_in(root, jnp.uint32(_INDICES) + jnp.uint32(self.index))
        return jnp.where(self.index == 0, root, other)

    def _words(self, seed: int) -> Int[np.ndarray, " env"]:
        index = int(self.index)
        if index == 0:
            return env_seeds(seed, self.num_envs, self.purpose)
        entropy = np.random.SeedSequence([seed, int(self.purpose), index])
        return (entropy.generate_state(self.num_envs, np.uint32) >> 1).astype(np.int32)


def step_keys(keys: Key[Array, " env"], count: Int[Array, " env"]) -> Key[Array, " env"]:
    """The key of each environment's `count`-th step."""
    return jax.vmap(jax.random.fold_in)(keys, count)


def where_env(mask: Bool[Array, " env"], chosen: Any, otherwise: Any) -> Any:
    """`chosen` for the environments in `mask`, leaf by leaf, in the dtypes of `otherwise`."""

    def select(x: Array, y: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (y.ndim - 1)), x.astype(y.dtype), y)

    return jax.tree.map(select, chosen, otherwise)


@contextmanager
def closed(env: Env) -> Iterator[Env]:
    """`env` while this lasts; what it holds, such as processes and threads, is freed at the end."""
    try:
        yield env
    finally:
        if close := getattr(env, "close", None):  # a pool of the user's may have none
            close()
