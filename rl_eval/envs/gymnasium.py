"""Gymnasium environments with discrete actions, stepped from the host; ALE among them."""

from __future__ import annotations

import importlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int, Shaped

from rl_eval.envs.base import Layout
from rl_eval.envs.protocols import AtariOptions
from rl_eval.types import Episode, Leaf, Step

Lives = Int[np.ndarray, " env"]
Obs = Shaped[np.ndarray, "env ..."]


class GymnasiumEnv:
    """A pool of one Gymnasium environment in SAME_STEP autoreset mode.

    That mode alone needs no ignored steps and still hands over the final observation.

    Observations are boxes, or discrete ones as one-hot flags. `ALE/` games are preprocessed by
    ALE's own vector environment to uint8 [84, 84, stack_num], oldest frame first. Of the Atari
    options it lacks `mode` and `difficulty`; under `episodic_life` the game simply plays on after
    a lost life, without the no-ops and the FIRE that envpool adds; the stack starts out black.

    Args:
        options: for `ALE/` games.
        max_episode_steps: agent steps; None keeps the environment's own limit.

    Raises:
        ValueError: it cannot be made, or its observations or actions are of another kind.
    """

    jittable = False
    resets_in_step = True
    path = "host"
    path_reason = "Gymnasium environments are Python"

    def __init__(
        self,
        env_id: str,
        layout: Layout,
        options: AtariOptions,
        max_episode_steps: int | None = None,
    ) -> None:
        self._atari = options if env_id.startswith("ALE/") else None
        if self._atari:
            self._pool = _open_ale(env_id, layout.total, options)
        else:
            self._pool = _open(env_id, layout.total, max_episode_steps)
        self._seeds = layout.int_seeds()
        self.env_id = env_id
        self.num_envs = layout.total
        self.observation, self._one_hot = self._describe()
        self.num_actions, self._first_action = self._actions()

    def reset(self) -> tuple[Lives, Obs]:
        """Start every environment from its own seed."""
        obs, info = self._pool.reset(seed=self._seeds if self._atari else self._seeds.tolist())
        return self._lives(info), self._encode(obs)

    def step(self, state: Lives, action: Int[Leaf, " env"]) -> tuple[Lives, Step]:
        """Advance every environment by one action."""
        obs, reward, terminated, truncated, info = self._pool.step(
            np.asarray(action, np.int64) + self._first_action
        )
        over = terminated | truncated
        next_obs = obs
        if over.any():
            next_obs = obs.copy()
            for i in np.flatnonzero(over):
                next_obs[i] = info["final_obs"][i]
        reward, lives = reward.astype(np.float32), self._lives(info)
        lost = self._life_lost(state, lives) & ~over
        step = Step(
            obs=self._encode(obs),
            reward=np.sign(reward) if self._atari and self._atari.reward_clip else reward,
            terminated=terminated | lost,
            truncated=truncated & ~terminated,
            next_obs=self._encode(next_obs),
            valid=np.ones_like(over),
            episode=Episode(reward=reward, over=over),
        )
        return lives, step

    def _describe(self) -> tuple[jax.ShapeDtypeStruct, int]:
        """One observation, and the size of its one-hot code (0: none)."""
        from gymnasium.spaces import Box, Discrete

        space = self._pool.single_observation_space
        if isinstance(space, Discrete):
            return jax.ShapeDtypeStruct((int(space.n),), np.bool_), int(space.n)
        if not isinstance(space, Box):
            raise ValueError(f"'{self.env_id}' has observations {space}; Box or Discrete are known")
        shape = (*space.shape[1:], space.shape[0]) if self._atari else space.shape
        return jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(space.dtype)), 0

    def _actions(self) -> tuple[int, int]:
        """How many, and the number of the first."""
        from gymnasium.spaces import Discrete

        space = self._pool.single_action_space
        if not isinstance(space, Discrete):
            raise ValueError(f"'{self.env_id}' has actions {space}; Discrete ones are needed")
        return int(space.n), int(space.start)

    def _encode(self, obs: Any) -> Obs:
        if self._one_hot:
            first = self._pool.single_observation_space.start
            return np.arange(self._one_hot) == (np.asarray(obs) - first)[:, None]
        if self._atari:
            return obs.transpose(0, 2, 3, 1)
        return obs.astype(self.observation.dtype, copy=False)

    def _lives(self, info: dict[str, Any]) -> Lives:
        return info["lives"] if self._atari else np.zeros(self.num_envs, np.int32)

    def _life_lost(self, before: Lives, after: Lives) -> Bool[np.ndarray, " env"]:
        """Some games show 0 lives for some frames before they are over: that is no loss yet."""
        episodic = self._atari is not None and self._atari.episodic_life
        return (after > 0) & (after < before) & episodic


def ale_ids() -> tuple[str, ...]:
    """Every `ALE/` game of the installed ale-py."""
    import gymnasium

    _register_ale()
    return tuple(sorted(name for name in gymnasium.registry if name.startswith("ALE/")))


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


def _register_ale() -> None:
    import ale_py
    import gymnasium

    gymnasium.register_envs(ale_py)


def _open_ale(env_id: str, num_envs: int, options: AtariOptions) -> Any:
    import gymnasium

    if options.mode is not None or options.difficulty is not None:
        raise ValueError(
            f"'{env_id}': ALE's vector environment has no mode or difficulty; "
            f"'{env_id.removeprefix('ALE/')}' (envpool) has"
        )
    _register_ale()
    return gymnasium.make_vec(
        env_id,
        num_envs=num_envs,
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
        frameskip=options.frame_skip,
        stack_num=options.stack_num,
        noop_max=options.noop_max,
        use_fire_reset=options.use_fire_reset,
        repeat_action_probability=options.repeat_action_probability,
        full_action_space=options.full_action_space,
        max_num_frames_per_episode=options.max_episode_steps * options.frame_skip,
        # Its own reward clipping hides the score, and its episodic life restarts the whole game.
        reward_clipping=False,
        episodic_life=False,
    )


def _open(env_id: str, num_envs: int, max_episode_steps: int | None) -> Any:
    import gymnasium

    limit: dict[str, Any] = {}
    if max_episode_steps is not None:
        limit["max_episode_steps"] = max_episode_steps
    try:
        return gymnasium.make_vec(
            env_id,
            num_envs=num_envs,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
            **limit,
        )
    except gymnasium.error.Error as error:
        raise ValueError(f"Gymnasium cannot make '{env_id}': {error}") from error
