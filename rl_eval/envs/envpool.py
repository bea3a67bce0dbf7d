"""Atari through envpool, stepped inside jit (its XLA interface) or from the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.envs import xla_check
from rl_eval.envs.base import Layout
from rl_eval.envs.protocols import AtariOptions
from rl_eval.types import Episode, Leaf, Step


class AtariState(NamedTuple):
    """What the adapter must remember from one step to the next.

    handle: orders the steps inside jit; None on the host path.
    ended: the last step ended the learner's episode, so the next one is ignored.
    over: it ended the game as well.
    lives: as the emulator shows them.
    """

    handle: Leaf | None
    ended: Leaf
    over: Leaf
    lives: Leaf


class AtariEnv:
    """A pool of one Atari game. uint8 [84, 84, stack_num] observations, oldest frame first.

    envpool puts the frames first; they are moved last, which is what convolutions want and costs
    17 microseconds for 8 environments inside jit, nothing on the host (a view).

    The pool's random streams cannot be rewound: the first `reset` starts every environment from
    its own seed, later ones start new games further down the streams. No step may be in flight
    while `reset` is called.
    """

    resets_in_step = False
    rewindable = False

    def __init__(
        self, env_id: str, layout: Layout, options: AtariOptions, jittable: bool, reason: str
    ) -> None:
        self._pool = open_pool(env_id, layout, options)
        self.env_id = env_id
        self.options = options
        self.num_envs = layout.total
        self.num_actions = int(self._pool.action_space.n)
        frames, height, width = self._pool.observation_space.shape
        self.observation = jax.ShapeDtypeStruct((height, width, frames), jnp.uint8)
        self.jittable = jittable
        self.path = "xla" if jittable else "host"
        self.path_reason = reason
        self._handle: Leaf | None = None
        self._step: Callable[..., Any] = self._pool.step
        if jittable:
            self._handle, _, _, self._step = self._pool.xla()

    def reset(self) -> tuple[AtariState, Leaf]:
        """Start a new game in every environment. Called from the host on either path."""
        obs, info = self._pool.reset()
        nothing = np.zeros(self.num_envs, np.bool_)
        return AtariState(self._handle, nothing, nothing, info["lives"]), _frames_last(obs)

    def step(self, state: AtariState, action: Leaf) -> tuple[AtariState, Step]:
        """Advance every environment by one action; traced on the XLA path."""
        if self.jittable:
            handle, raw = self._step(state.handle, jnp.asarray(action, jnp.int32))
        else:
            handle, raw = None, self._step(np.asarray(action, np.int32))
        return _interpret(state, handle, raw)

    def close(self) -> None:
        """End the emulators and their threads, which envpool does when nobody holds the pool.

        A step after this, also one inside a compiled program, is an error that no one catches.
        """
        self._pool.close()
        del self._pool, self._step


def make_atari(env_id: str, layout: Layout, options: AtariOptions, path: str) -> AtariEnv:
    """A pool on the path asked for; `auto` takes XLA where its self-test passes."""
    if path == "auto":
        verdict = xla_check.verdict()
        return AtariEnv(env_id, layout, options, verdict.works, verdict.reason)
    return AtariEnv(env_id, layout, options, path == "xla", "as asked")


def game_ids() -> tuple[str, ...]:
    """Every Atari game of the installed envpool."""
    from envpool.registration import registry

    return tuple(name for name, spec in registry.specs.items() if spec[0] == "envpool.atari")


def flavours(env_id: str) -> tuple[list[int], list[int]]:
    """The modes and difficulties of a game."""
    import ale_py
    from envpool.registration import registry

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    settings = registry.specs[env_id][2]
    ale.loadROM(f"{settings['base_path']}/atari/roms/{settings['task']}.bin")
    return list(ale.getAvailableModes()), list(ale.getAvailableDifficulties())


def open_pool(env_id: str, layout: Layout, options: AtariOptions) -> Any:
    """The envpool object. Raises ValueError for a mode or difficulty the game does not have."""
    import envpool

    settings = dataclasses.asdict(options)
    chosen = {name: settings.pop(name) for name in ("mode", "difficulty")}
    if any(value is not None for value in chosen.values()):
        for (name, value), known in zip(chosen.items(), flavours(env_id), strict=True):
            if value is None:
                continue
            if value not in known:
                raise ValueError(f"{env_id} has no {name} {value}; it has {known}")
            settings[name] = value
    return envpool.make_gymnasium(
        env_id, num_envs=layout.total, seed=layout.int_seeds().tolist(), **settings
    )


def _interpret(state: AtariState, handle: Leaf | None, raw: Any) -> tuple[AtariState, Step]:
    """envpool's answer as a `Step`; the same arithmetic on numpy and traced arrays.

    Three traps. envpool's `terminated` is `done and not truncated`: true for a lost life, and
    false for a game that is over on the very step of its time limit; `info["terminated"]` is game
    over alone. And a game can end during the no-ops that envpool plays after a lost life (seen in
    RoadRunner): it then starts the next game without a word, but the lives have gone up.
    """
    obs, reward, terminated, truncated, info = raw
    game_over = info["terminated"] != 0
    ended = terminated | truncated
    over = ended & (game_over | truncated)
    over_in_noops = state.ended & ~state.over & (info["lives"] > state.lives)
    obs = _frames_last(obs)
    step = Step(
        obs=obs,
        reward=reward,
        terminated=ended & (game_over | ~truncated),
        truncated=truncated & ~game_over,
        next_obs=obs,
        valid=~state.ended,
        episode=Episode(reward=info["reward"], over=over | over_in_noops),
    )
    return AtariState(handle, ended, over, info["lives"]), step


def _frames_last(obs: Leaf) -> Leaf:
    return obs.transpose(0, 2, 3, 1)
