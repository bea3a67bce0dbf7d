"""Environments in pure JAX with the interface of gymnax 1.0: its own, and the user's."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, Shaped

from rl_eval.envs.base import Layout, step_keys, where_env
from rl_eval.envs.described import Kwargs
from rl_eval.errors import cause
from rl_eval.types import Episode, Leaf, Step

CLASSIC = ("Acrobot-v1", "CartPole-v1", "MountainCar-v0")  # those with discrete actions
MINATAR = (
    "Asterix-MinAtar",
    "Breakout-MinAtar",
    "Freeway-MinAtar",
    "Seaquest-MinAtar",
    "SpaceInvaders-MinAtar",
)


Simulator = tuple[Any, Any]
"""An object with the interface of gymnax, and its parameters."""

_INTERFACE = ("default_params", "reset_env", "step_env", "is_truncated")


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
        simulator: of the user's own, in place of gymnax's `env_id`.

    Raises:
        ValueError: its actions or observations are of a kind that cannot be learned from here, or
            it does not keep to the interface.
    """

    jittable = True
    resets_in_step = True
    rewindable = True
    path = "xla"
    path_reason = "written in JAX"

    def __init__(
        self,
        env_id: str,
        layout: Layout,
        max_episode_steps: int | None = None,
        simulator: Simulator | None = None,
    ) -> None:
        self._env, params = simulator or builtin(env_id)
        if max_episode_steps is not None:
            params = params.replace(max_steps_in_episode=max_episode_steps)
        self._params = params
        self._layout = layout
        self.env_id = env_id
        self.num_envs = layout.total
        self.num_actions = _num_actions(env_id, self._env, params)
        obs = _observation(env_id, self._env, params)
        self._obs_dtype = jnp.dtype(jnp.bool_) if env_id in MINATAR else obs.dtype
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
        terminated = terminated.astype(bool).reshape(self.num_envs)
        limit = jax.vmap(self._env.is_truncated, in_axes=(0, None))(inner, self._params)
        limit = limit.astype(bool).reshape(self.num_envs)
        over = terminated | limit
        obs, inner = where_env(over, self._reset_env(keys[:, 1]), (next_obs, inner))
        reward = reward.astype(jnp.float32).reshape(self.num_envs)
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

    def close(self) -> None:
        """Nothing lives outside of JAX."""

    def _reset_env(self, keys: Key[Array, " env"]) -> tuple[Shaped[Array, "env ..."], Any]:
        return _reset(self._env, self._obs_dtype, keys, self._params)


def is_gymnax(found: Any) -> bool:
    """Whether an object, or a class of them, has the interface of gymnax 1.0."""
    return all(hasattr(found, name) for name in _INTERFACE)


def builtin(env_id: str, kwargs: Kwargs | None = None) -> Simulator:
    """Gymnax's own environment.

    Raises:
        ValueError: it takes no such argument.
    """
    return _builtin(env_id, json.dumps(dict(kwargs or {}), sort_keys=True))


@functools.cache
def _builtin(env_id: str, kwargs: str) -> Simulator:
    """One for all pools: it has no state, and what is compiled is compiled for the object."""
    import gymnax  # slow to import

    given = json.loads(kwargs)
    params = _fields(gymnax.make(env_id)[1])
    try:
        made, _ = gymnax.make(env_id, **{k: v for k, v in given.items() if k not in params})
    except TypeError as error:
        raise ValueError(
            f"'{env_id}' cannot be made: {error}; its parameters are {', '.join(params)}"
        ) from None
    return with_params(env_id, made, {k: v for k, v in given.items() if k in params})


def with_params(env_id: str, env: Any, kwargs: Kwargs) -> Simulator:
    """An object, and its default parameters with those given.

    Raises:
        ValueError: it has no such parameter.
    """
    params = env.default_params
    known = _fields(params) if kwargs else ()
    if unknown := sorted(set(kwargs) - set(known)):
        raise ValueError(
            f"'{env_id}' has no parameter {unknown[0]}; it has {', '.join(known) or 'none'}"
        )
    return env, dataclasses.replace(params, **kwargs) if kwargs else params


def _fields(params: Any) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(params)) if params is not None else ()


def _num_actions(env_id: str, env: Any, params: Any) -> int:
    actions = env.action_space(params)
    if not hasattr(actions, "n"):
        kind = type(actions).__name__
        raise ValueError(f"'{env_id}' has {kind} actions; Discrete ones are needed")
    return int(actions.n)


def _observation(env_id: str, env: Any, params: Any) -> jax.ShapeDtypeStruct:
    """One observation, found by tracing a reset and a step, which must go together."""
    key = jax.random.key(0)
    try:
        obs, state = jax.eval_shape(env.reset_env, key, params)
        stepped = jax.eval_shape(env.step_env, key, state, jnp.int32(0), params)
        jax.eval_shape(env.is_truncated, state, params)
    except Exception as error:
        reason = f"'{env_id}' fails when a reset and a step are traced: {cause(error)}"
        raise ValueError(reason) from error
    if not isinstance(obs, jax.ShapeDtypeStruct):
        raise ValueError(
            f"'{env_id}' observes a {type(obs).__name__} of arrays; one array is needed: "
            "concatenate them in its reset_env and step_env"
        )
    if not isinstance(stepped, tuple) or len(stepped) != 5:
        raise ValueError(
            f"'{env_id}': step_env must return observation, state, reward, terminated and info"
        )
    for what, first, then in (("observation", obs, stepped[0]), ("state", state, stepped[1])):
        if _shapes(first) != _shapes(then):
            raise ValueError(
                f"'{env_id}': the {what} of reset_env is {_shapes(first)}, that of step_env "
                f"{_shapes(then)}; they must be alike"
            )
    inexact = jnp.issubdtype(obs.dtype, jnp.floating)
    return jax.ShapeDtypeStruct(obs.shape, jnp.float32 if inexact else obs.dtype)


def _shapes(tree: Any) -> str:
    found = jax.tree_util.tree_leaves_with_path(tree)
    leaves = [f"{jax.tree_util.keystr(p)} {x.dtype}{list(x.shape)}".strip() for p, x in found]
    return ", ".join(leaves) or "empty"


def _reset(
    env: Any, dtype: Any, keys: Key[Array, " env"], params: Any
) -> tuple[Shaped[Array, "env ..."], Any]:
    obs, inner = jax.vmap(env.reset_env, in_axes=(0, None))(keys, params)
    # gymnax starts counters as Python ints; their weak types would compile a second program.
    return obs.astype(dtype), jax.tree.map(lambda x: x.astype(x.dtype), inner)


_reset_jit = jax.jit(_reset, static_argnums=(0, 1))
