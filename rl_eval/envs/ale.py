"""Atari through ALE's own vector environment, registered with Gymnasium as `ALE/Pong-v5` ..."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int, UInt8

from rl_eval.envs.base import Layout
from rl_eval.envs.protocols import AtariOptions
from rl_eval.types import Episode, Leaf, Step

Obs = UInt8[np.ndarray, "env 84 84 frame"]


class AleState(NamedTuple):
    """Lives as the emulator shows them, and agent steps since the game began."""

    lives: Int[np.ndarray, " env"]
    steps: Int[np.ndarray, " env"]


class AleEnv:
    """A pool of one Atari game. uint8 [84, 84, stack_num] observations, oldest frame first.

    Of the Atari options it lacks `mode` and `difficulty`. Under `episodic_life` the game simply
    plays on after a lost life, without the no-ops and the FIRE that envpool adds. The frame stack
    starts out black.

    Three of ALE's own options are not used: its reward clipping hides the score, its episodic life
    restarts the whole game, and on the step of its time limit it skips the last frame, so that
    the final observation is not the true one. Lives and limit are kept here instead.

    Raises:
        ValueError: a mode or difficulty is asked for.
    """

    jittable = False
    resets_in_step = True
    rewindable = False
    path = "host"
    path_reason = "ALE is stepped through Gymnasium"

    def __init__(self, env_id: str, layout: Layout, options: AtariOptions) -> None:
        if options.mode is not None or options.difficulty is not None:
            raise ValueError(
                f"'{env_id}': ALE's vector environment has no mode or difficulty; "
                f"'{env_id.removeprefix('ALE/')}' (envpool) has"
            )
        self._pool = _open(env_id, layout.total, options)
        self._seeds = layout.int_seeds()
        self.env_id = env_id
        self.options = options
        self.num_envs = layout.total
        self.num_actions = int(self._pool.single_action_space.n)
        self.observation = jax.ShapeDtypeStruct((84, 84, options.stack_num), np.uint8)

    def reset(self) -> tuple[AleState, Obs]:
        """Start every environment from its own seed."""
        obs, info = self._pool.reset(seed=self._seeds)
        return AleState(info["lives"], np.zeros(self.num_envs, np.int32)), _frames_last(obs)

    def step(self, state: AleState, action: Int[Leaf, " env"]) -> tuple[AleState, Step]:
        """Advance every environment by one action."""
        obs, score, game_over, _, info = self._pool.step(np.asarray(action, np.int32))
        next_obs = obs
        if game_over.any():
            next_obs = np.where(game_over[:, None, None, None], info["final_obs"], obs)
        steps, lives = state.steps + 1, info["lives"]
        truncated = (steps >= self.options.max_episode_steps) & ~game_over
        if truncated.any():
            obs, info = self._pool.reset(options={"reset_mask": truncated})
        over = game_over | truncated
        # Some games show 0 lives for a while before they are over: that is no loss yet.
        lost = (lives > 0) & (lives < state.lives) & ~over & self.options.episodic_life
        score = score.astype(np.float32)
        step = Step(
            obs=_frames_last(obs),
            reward=np.sign(score) if self.options.reward_clip else score,
            terminated=game_over | lost,
            truncated=truncated,
            next_obs=_frames_last(next_obs),
            valid=np.ones_like(over),
            episode=Episode(reward=score, over=over),
        )
        return AleState(info["lives"], np.where(over, np.int32(0), steps)), step

    def close(self) -> None:
        """End the emulators and their threads."""
        self._pool.close()
        del self._pool


def ale_ids() -> tuple[str, ...]:
    """Every game of the installed ale-py."""
    import gymnasium

    _register()
    return tuple(sorted(name for name in gymnasium.registry if name.startswith("ALE/")))


def _register() -> None:
    import ale_py
    import gymnasium

    gymnasium.register_envs(ale_py)


def _open(env_id: str, num_envs: int, options: AtariOptions) -> Any:
    import gymnasium

    _register()
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
        max_num_frames_per_episode=(options.max_episode_steps + 1) * options.frame_skip,
        reward_clipping=False,
        episodic_life=False,
    )


def _frames_last(obs: Leaf) -> Leaf:
    return obs.transpose(0, 2, 3, 1)
