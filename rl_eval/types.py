"""The records that environments, learners and the runner exchange."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Bool, Float, Int, Shaped

EnvState = Any  # a pytree owned by the environment
Leaf = Any  # a jax array, or numpy's where an environment is stepped from the host


class Episode(NamedTuple):
    """What one env step contributes to the score of the full game.

    `reward` is the game's own, unclipped. `over` is game over or time limit, never a lost life.
    """

    reward: Float[Leaf, " env"]
    over: Bool[Leaf, " env"]


class Step(NamedTuple):
    """One env step of a batch of environments, whatever the backend's autoreset habit.

    obs: what the policy acts on next (after a reset in the same step: the new episode's first).
    reward: what the learner trains on (clipped where the protocol clips).
    terminated: no future reward may be bootstrapped (game over, or a lost life if so configured).
    truncated: cut off by a time limit; the value of `next_obs` still counts.
    next_obs: the true successor of this action, before any reset.
    valid: False where the backend ignored the action (next-step autoreset): such a step is no
        transition and weighs nothing.
    """

    obs: Shaped[Leaf, "env ..."]
    reward: Float[Leaf, " env"]
    terminated: Bool[Leaf, " env"]
    truncated: Bool[Leaf, " env"]
    next_obs: Shaped[Leaf, "env ..."]
    valid: Bool[Leaf, " env"]
    episode: Episode


@runtime_checkable
class Environment(Protocol):
    """A batch of `num_envs` environments, independent of each other and of their position.

    With `jittable` `step` can be traced (not vmapped: envpool cannot be); otherwise it is called
    from the host with numpy arrays. `reset` is always called from the host: a simulator cannot be
    reset inside a compiled function. `path` ("xla" or "host") and `path_reason` tell people.
    `resets_in_step` says that a finished episode is reset within the step that ends it, so `obs`
    may differ from `next_obs`. `rewindable`: the state that `step` returns is all there is, so that
    a saved one goes on exactly; other simulators start new games when a run is resumed.
    """

    env_id: str
    num_envs: int
    num_actions: int
    observation: jax.ShapeDtypeStruct  # of one environment
    jittable: bool
    resets_in_step: bool
    rewindable: bool
    path: str
    path_reason: str

    def reset(self) -> tuple[EnvState, Shaped[Leaf, "env ..."]]:
        """Start every environment from its own seed.

        Called again, a simulator that cannot be rewound (envpool) starts new games instead.
        """
        ...

    def step(self, state: EnvState, action: Int[Leaf, " env"]) -> tuple[EnvState, Step]:
        """Advance every environment by one action."""
        ...

    def close(self) -> None:
        """Free what lives outside of this program's memory; no step may follow."""
        ...


class Transition(NamedTuple):
    """A rollout, time-major: leaves are [time, env, ...]."""

    obs: Shaped[Array, "time env ..."]
    action: Int[Array, "time env"]
    log_prob: Float[Array, "time env"]
    value: Float[Array, "time env"]
    next_value: Float[Array, "time env"]
    reward: Float[Array, "time env"]
    terminated: Bool[Array, "time env"]
    truncated: Bool[Array, "time env"]
    valid: Bool[Array, "time env"]
