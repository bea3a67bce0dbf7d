"""Five environments so small that a learner's value and action must come out right.

Each one can fail for a single reason: `constant` value regression, `observation` the network's
input, `two-step` discounting, `action` the policy gradient, `both` a policy that looks at its
input. When a learner misbehaves, run them in this order: the first that fails says where to look.

Source: Andy Jones, "Debugging RL, Without the Agonizing Pain" (2021), section on probe
environments; here as tables, so that the true values follow from the data.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from rl_eval.envs.base import Layout, step_keys, where_env
from rl_eval.types import Episode, Leaf, Step


@dataclasses.dataclass(frozen=True)
class Probe:
    """A tabular problem with one number as observation and two actions.

    Attributes:
        observation: of each state.
        reward: [state][action].
        following: the state after each state; None ends the episode.
        num_starts: an episode starts in one of the first so many states, evenly drawn.
    """

    observation: tuple[float, ...]
    reward: tuple[tuple[float, float], ...]
    following: tuple[int | None, ...]
    num_starts: int

    @property
    def best_action(self) -> tuple[int | None, ...]:
        """Of each state; None where the action does not matter."""
        return tuple(None if a == b else int(b > a) for a, b in self.reward)

    def value(self, gamma: float) -> tuple[float, ...]:
        """Of each state under the best actions."""

        def backup(state: int) -> float:
            after = self.following[state]
            return max(self.reward[state]) + (0.0 if after is None else gamma * backup(after))

        return tuple(backup(state) for state in range(len(self.observation)))


PROBES = {
    "probe/constant": Probe((0.0,), ((1.0, 1.0),), (None,), 1),
    "probe/observation": Probe((-1.0, 1.0), ((-1.0, -1.0), (1.0, 1.0)), (None, None), 2),
    "probe/two-step": Probe((0.0, 1.0), ((0.0, 0.0), (1.0, 1.0)), (1, None), 1),
    "probe/action": Probe((0.0,), ((-1.0, 1.0),), (None,), 1),
    "probe/both": Probe((-1.0, 1.0), ((1.0, -1.0), (-1.0, 1.0)), (None, None), 2),
}


class ProbeState(NamedTuple):
    """Every leaf has a leading env axis."""

    key: Key[Array, " env"]
    steps: Int[Array, " env"]
    state: Int[Array, " env"]


class ProbeEnv:
    """A pool of one probe: jittable, reset in the step that ends an episode."""

    jittable = True
    resets_in_step = True
    rewindable = True
    path = "xla"
    path_reason = "written in JAX"

    def __init__(self, env_id: str, layout: Layout) -> None:
        self.probe = PROBES[env_id]
        self._layout = layout
        self.env_id = env_id
        self.num_envs = layout.total
        self.num_actions = 2
        self.observation = jax.ShapeDtypeStruct((1,), jnp.float32)

    def reset(self) -> tuple[ProbeState, Float[Array, "env 1"]]:
        """Start every environment from its own seed."""
        keys = self._layout.keys()
        steps = jnp.zeros(self.num_envs, jnp.int32)
        state = self._start(step_keys(keys, steps))
        return ProbeState(keys, steps + 1, state), self._observe(state)

    def step(self, state: ProbeState, action: Int[Leaf, " env"]) -> tuple[ProbeState, Step]:
        """Advance every environment by one action. The final state observes as itself."""
        table = [s if after is None else after for s, after in enumerate(self.probe.following)]
        ends = np.array([after is None for after in self.probe.following])
        reward = jnp.asarray(self.probe.reward, jnp.float32)[state.state, action]
        following = jnp.asarray(table, jnp.int32)[state.state]
        over = jnp.asarray(ends)[state.state]
        start = self._start(step_keys(state.key, state.steps))
        current = where_env(over, start, following)
        step = Step(
            obs=self._observe(current),
            reward=reward,
            terminated=over,
            truncated=jnp.zeros_like(over),
            next_obs=self._observe(following),
            valid=jnp.ones_like(over),
            episode=Episode(reward=reward, over=over),
        )
        return ProbeState(state.key, state.steps + 1, current), step

    def close(self) -> None:
        """Nothing lives outside of JAX."""

    def _start(self, keys: Key[Array, " env"]) -> Int[Array, " env"]:
        return jax.vmap(lambda key: jax.random.randint(key, (), 0, self.probe.num_starts))(keys)

    def _observe(self, state: Int[Array, " env"]) -> Float[Array, "env 1"]:
        return jnp.asarray(self.probe.observation, jnp.float32)[state][:, None]
