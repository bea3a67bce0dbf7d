"""Classic control and MinAtar in pure JAX, from gymnax."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, Shaped

from rl_eval.envs.base import Layout, step_keys, where_env
from rl_eval.types import Episode, Leaf, Step

CLASSIC = ("Acrobot-v1", "CartPole-v1", "MountainCar-v0")  # those with discrete actions
MINATAR = (
    "Asterix-MinAtar",
    "Breakout-MinAtar",
    "Freeway-MinAtar",
    "Seaquest-MinAtar",
    "SpaceInvaders-MinAtar",
)


class GymnaxState(NamedTuple):
    """Every leaf has a leading env axis. `steps` counts what was drawn from `key`."""

    key: Key[Array, " env"]
    steps: Int[Array, " env"]
    inner: Any


class GymnaxEnv:
    """A pool of gymnax environments: jittable, reset in the step that ends an episode.

    The step of gymnax itself is not called: it returns the observation as float32 twice, which
    costs a third of the speed on MinAtar. Ours draws its keys the same way and is tested equal.
    MinAtar observations are grids of flags and stay bool; the network casts. Resetting all
    environments on every step and selecting was as fast as a `lax.cond` on any of them being done.

    gymnax 1.0 keeps termination and time limit apart: `step_env` reports the former,
    `is_truncated` the latter. Freeway-MinAtar never terminates; it ends by its limit alone.

    Args:
        max_episode_steps: agent steps; None keeps the limit of gymnax.
    """

    jittable = True
    resets_in_step = True
    rewindable = True
    path = "xla"
    path_reason = "written in JAX"

    def __init__(self, env_id: str, layout: Layout, max_episode_steps: int | None = None) -> None:
        self._env, params = _simulator(env_id)
        if max_episode_steps is not None:
            params = params.replace(max_steps_in_episode=max_episode_steps)
        self._params = params
        self._layout = layout
        self._obs_dtype = jnp.bool_ if env_id in MINATAR else jnp.float32
        obs = jax.eval_shape(self._env.reset_env, jax.random.key(0), params)[0]
        self.env_id = env_id
        self.num_envs = layout.total
        self.num_actions = int(self._env.num_actions)
        self.observation = jax.ShapeDtypeStruct(obs.shape, self._obs_dtype)

    def reset(self) -> tuple[GymnaxState, Shaped[Array, "env ..."]]:
        """Start every environment from its own seed."""
        keys = self._layout.keys()
        steps = jnp.zeros(self.num_envs, jnp.int32)
        obs, inner = _reset_jit(self._env, self._obs_dtype, step_keys(keys, steps), self._params)
        return GymnaxState(keys, steps + 1, inner), obs

    def step(self, state: GymnaxState, action: Int[Leaf, " env"]) -> tuple[GymnaxState, Step]:
        """Advance every environment by one action."""
        keys = jax.vmap(jax.random.split)(step_keys(state.key, state.steps))
        next_obs, inner, reward, terminated, _ = jax.vmap(
            self._env.step_env, in_axes=(0, 0, 0, None)
        )(keys[:, 0], state.inner, action, self._params)
        next_obs = next_obs.astype(self._obs_dtype)
        terminated = terminated.astype(bool)
        limit = jax.vmap(self._env.is_truncated, in_axes=(0, None))(inner, self._params)
        over = terminated | limit
        obs, inner = where_env(over, self._reset_env(keys[:, 1]), (next_obs, inner))
        reward = reward.astype(jnp.float32)
        step = Step(
            obs=obs,
            reward=reward,
            terminated=terminated,
            truncated=limit & ~terminated,
            next_obs=next_obs,
            valid=jnp.ones_like(over),
            episode=Episode(reward=reward, over=over),
        )
        return GymnaxState(state.key, state.steps + 1, inner), step

    def _reset_env(self, keys: Key[Array, " env"]) -> tuple[Shaped[Array, "env ..."], Any]:
        return _reset(self._env, self._obs_dtype, keys, self._params)


@functools.cache
def _simulator(env_id: str) -> tuple[Any, Any]:
    """One for all pools: it has no state, and what is compiled is compiled for the object."""
    import gymnax  # slow to import

    return gymnax.make(env_id)


def _reset(
    env: Any, dtype: Any, keys: Key[Array, " env"], params: Any
) -> tuple[Shaped[Array, "env ..."], Any]:
    obs, inner = jax.vmap(env.reset_env, in_axes=(0, None))(keys, params)
    # gymnax starts counters as Python ints; their weak types would compile a second program.
    return obs.astype(dtype), jax.tree.map(lambda x: x.astype(x.dtype), inner)


_reset_jit = jax.jit(_reset, static_argnums=(0, 1))
