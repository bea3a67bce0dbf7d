"""Gymnasium environments with discrete actions, stepped from the host."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Shaped

from rl_eval.envs.base import Layout
from rl_eval.envs.described import Kwargs
from rl_eval.envs.making import called
from rl_eval.errors import ExplainedError, cause
from rl_eval.types import Episode, Leaf, Step

Obs = Shaped[np.ndarray, "env ..."]


class SimulatorError(ExplainedError):
    """An environment raised while it was played."""


class GymnasiumEnv:
    """A pool of one Gymnasium environment in SAME_STEP autoreset mode.

    That mode alone needs no ignored steps and still hands over the final observation.
    Observations are boxes, or discrete ones as one-hot flags. There is no state to thread: the
    simulators keep their own. Each observation is copied as it comes: a simulator may write the
    next one, such as that of the reset within the step, into the same array.

    Args:
        max_episode_steps: agent steps; None keeps the environment's own limit.
        kwargs: arguments of its constructor.
        make: makes one environment, in place of Gymnasium's `env_id`.

    Raises:
        ValueError: it cannot be made, or its observations or actions are of another kind.
        SimulatorError: by `reset` and `step`; the environment raises.
    """

    jittable = False
    resets_in_step = True
    rewindable = False
    path = "host"
    path_reason = "Gymnasium environments are Python"

    def __init__(
        self,
        env_id: str,
        layout: Layout,
        max_episode_steps: int | None = None,
        kwargs: Kwargs | None = None,
        make: Callable[[], Any] | None = None,
    ) -> None:
        from gymnasium.spaces import Discrete

        make = make or maker(env_id, max_episode_steps, kwargs or {})
        self._pool = _open(env_id, layout.total, make)
        self._seeds = layout.int_seeds().tolist()
        self._steps = 0
        seen, actions = self._pool.single_observation_space, self._pool.single_action_space
        self.env_id = env_id
        self.num_envs = layout.total
        self.num_actions = int(actions.n)
        self._first_action = int(actions.start)
        self._codes: np.ndarray | None = None
        if isinstance(seen, Discrete):
            self._codes = int(seen.start) + np.arange(int(seen.n))
            self.observation = jax.ShapeDtypeStruct(self._codes.shape, np.bool_)
        else:
            dtype = jax.dtypes.canonicalize_dtype(seen.dtype)
            self.observation = jax.ShapeDtypeStruct(seen.shape, dtype)

    def reset(self) -> tuple[None, Obs]:
        """Start every environment from its own seed."""
        with self._blamed("reset"):
            obs = self._pool.reset(seed=self._seeds)[0]
        return None, self._encode(obs)

    def step(self, state: None, action: Int[Leaf, " env"]) -> tuple[None, Step]:
        """Advance every environment by one action."""
        self._steps += 1
        with self._blamed(f"step {self._steps:,} of a pool of {self.num_envs}"):
            obs, reward, terminated, truncated, info = self._pool.step(
                np.asarray(action) + self._first_action
            )
        over = terminated | truncated
        next_obs = obs
        if over.any():
            next_obs = obs.copy()
            for i in np.flatnonzero(over):
                next_obs[i] = info["final_obs"][i]
        with np.errstate(over="ignore"):  # too large for float32 is infinite, which is told apart
            reward = reward.astype(np.float32)
        step = Step(
            obs=self._encode(obs),
            reward=reward,
            terminated=terminated,
            truncated=truncated & ~terminated,
            next_obs=self._encode(next_obs),
            valid=np.ones_like(over),
            episode=Episode(reward=reward, over=over),
        )
        return None, step

    def close(self) -> None:
        """Close every environment."""
        with suppress(Exception):  # what it cannot free, the end of the process does
            self._pool.close()

    def _encode(self, obs: np.ndarray) -> Obs:
        if self._codes is not None:
            return obs[:, None] == self._codes
        return obs.astype(self.observation.dtype, copy=False)

    @contextmanager
    def _blamed(self, doing: str) -> Iterator[None]:
        """Say that it was the environment that raised."""
        try:
            yield
        except Exception as error:
            space = self._pool.single_observation_space
            shaped = isinstance(error, ValueError)
            told = f"; it declares observations {_told(space)}" if shaped else ""
            raise SimulatorError(
                f"'{self.env_id}' failed in {doing}: {cause(error)}{told}"
            ) from error


def knows(env_id: str) -> bool:
    """Whether Gymnasium has it; `gymnasium:id` is one of its own."""
    import gymnasium

    return env_id.removeprefix("gymnasium:") in gymnasium.registry


def ids() -> tuple[str, ...]:
    """Every id that is registered with Gymnasium."""
    import gymnasium

    return tuple(gymnasium.registry)


def maker(env_id: str, max_episode_steps: int | None, kwargs: Kwargs) -> Callable[[], Any]:
    """Makes one environment of Gymnasium's; `module:id` is the id alone, its module imported."""
    import gymnasium

    name = env_id.rpartition(":")[2]
    creator: Any = gymnasium.registry[name].entry_point
    with suppress(Exception):  # a string that leads nowhere, as making one will tell
        if isinstance(creator, str):
            creator = gymnasium.envs.registration.load_env_creator(creator)
    limit: dict[str, Any] = {}
    if max_episode_steps is not None:
        limit["max_episode_steps"] = max_episode_steps
    make = partial(gymnasium.make, name, **limit)
    return lambda: called(env_id, make, kwargs, creator)


def _open(env_id: str, num_envs: int, make: Callable[[], Any]) -> Any:
    """A pool of so many; those that were made are closed where one cannot be."""
    import gymnasium
    from gymnasium.wrappers import TransformObservation

    made: list[Any] = []
    try:
        for _ in range(num_envs):
            made.append(make())
            _check(env_id, made[-1])
            made[-1] = TransformObservation(made[-1], copy.deepcopy, None)
        return gymnasium.vector.SyncVectorEnv(
            [partial(_itself, env) for env in made],
            autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
        )
    except BaseException:
        for env in made:
            with suppress(Exception):
                env.close()
        raise


def _itself(env: Any) -> Any:
    return env


def _check(env_id: str, env: Any) -> None:
    """Refuse what a policy of ours cannot see or do."""
    import gymnasium
    from gymnasium.spaces import Box, Discrete

    if not isinstance(env, gymnasium.Env):
        kind = type(env).__name__
        raise ValueError(f"'{env_id}' makes a {kind}; expected a Gymnasium or gymnax environment")
    seen, actions = getattr(env, "observation_space", None), getattr(env, "action_space", None)
    if not isinstance(actions, Discrete):
        more = "" if isinstance(actions, Box) else _NUMBERED
        raise ValueError(f"'{env_id}' has actions {_told(actions)}; Discrete ones are needed{more}")
    if not isinstance(seen, (Box, Discrete)):
        raise ValueError(
            f"'{env_id}' has observations {_told(seen)}; Box or Discrete are known: "
            "gymnasium.wrappers.FlattenObservation makes a Box of most others"
        )


_NUMBERED = ": a gymnasium.ActionWrapper can number the combinations"


def _told(space: Any) -> str:
    return " ".join(str(space).split())[:200]
