"""Gymnasium environments with discrete actions, stepped from the host."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Shaped

from rl_eval.envs.base import Layout
from rl_eval.types import Episode, Leaf, Step

Obs = Shaped[np.ndarray, "env ..."]


class GymnasiumEnv:
    """A pool of one Gymnasium environment in SAME_STEP autoreset mode.

    That mode alone needs no ignored steps and still hands over the final observation.
    Observations are boxes, or discrete ones as one-hot flags. There is no state to thread: the
    simulators keep their own. Each observation is copied as it comes: a simulator may write the
    next one, such as that of the reset within the step, into the same array.

    Args:
        max_episode_steps: agent steps; None keeps the environment's own limit.

    Raises:
        ValueError: it cannot be made, or its observations or actions are of another kind.
    """

    jittable = False
    resets_in_step = True
    rewindable = False
    path = "host"
    path_reason = "Gymnasium environments are Python"

    def __init__(self, env_id: str, layout: Layout, max_episode_steps: int | None = None) -> None:
        from gymnasium.spaces import Box, Discrete

        self._pool = _open(env_id, layout.total, max_episode_steps)
        self._seeds = layout.int_seeds().tolist()
        seen, actions = self._pool.single_observation_space, self._pool.single_action_space
        if not isinstance(actions, Discrete):
            raise ValueError(f"'{env_id}' has actions {actions}; Discrete ones are needed")
        if not isinstance(seen, (Box, Discrete)):
            raise ValueError(f"'{env_id}' has observations {seen}; Box or Discrete are known")
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
        return None, self._encode(self._pool.reset(seed=self._seeds)[0])

    def step(self, state: None, action: Int[Leaf, " env"]) -> tuple[None, Step]:
        """Advance every environment by one action."""
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

    def _encode(self, obs: np.ndarray) -> Obs:
        if self._codes is not None:
            return obs[:, None] == self._codes
        return obs.astype(self.observation.dtype, copy=False)


def knows(env_id: str) -> bool:
    """Whether Gymnasium has it; `module:id` imports the module first, as Gymnasium does."""
    import gymnasium

    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError):
        return False
    return True


def _open(env_id: str, num_envs: int, max_episode_steps: int | None) -> Any:
    import gymnasium
    from gymnasium.wrappers import TransformObservation

    def copied(env: Any) -> Any:
        return TransformObservation(env, copy.deepcopy, None)

    limit: dict[str, Any] = {}
    if max_episode_steps is not None:
        limit["max_episode_steps"] = max_episode_steps
    try:
        return gymnasium.make_vec(
            env_id,
            num_envs=num_envs,
            vectorization_mode="sync",
            wrappers=(copied,),
            vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
            **limit,
        )
    except gymnasium.error.Error as error:
        raise ValueError(f"Gymnasium cannot make '{env_id}': {error}") from error
