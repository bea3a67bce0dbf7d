"""Acting in the environments: inside jit where they allow it, from the host where not."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from rl_eval.config import PPOConfig
from rl_eval.envs import episode_stats
from rl_eval.envs.episode_stats import EpisodeStats
from rl_eval.ppo.learner import Learner
from rl_eval.ppo.networks import Network
from rl_eval.ppo.state import LearnerState, TrainState
from rl_eval.prng import Purpose
from rl_eval.types import Environment, Episode, Step, Transition


class Decision(NamedTuple):
    """What the policies chose at one time step, and on what (prepared) observation."""

    obs: Shaped[Array, "member env ..."]
    action: Int[Array, "member env"]
    log_prob: Float[Array, "member env"]
    value: Float[Array, "member env"]


class Outcome(NamedTuple):
    """What came of it. `cut_value`: value of the true successor where it is not the next obs."""

    reward: Float[Array, "member env"]
    terminated: Bool[Array, "member env"]
    truncated: Bool[Array, "member env"]
    valid: Bool[Array, "member env"]
    cut_value: Float[Array, "member env"]


class Rollout:
    """Steps a population through one pool of environments laid out [member, env].

    The pool cannot be vmapped (envpool), so it is stepped flat and only acting is vmapped.
    """

    def __init__(self, env: Environment, network: Network, learner: Learner, config: PPOConfig):
        self.env, self.network, self.learner, self.config = env, network, learner, config
        self.members = env.num_envs // config.num_envs
        self._decide_jit = jax.jit(self.decide)
        self._outcome_jit = jax.jit(self.outcome)
        self._finish_jit = jax.jit(self.finish)

    def _unfold(self, x: Shaped[Array, "total ..."]) -> Shaped[Array, "member env ..."]:
        return x.reshape(self.members, self.config.num_envs, *x.shape[1:])

    def _values(self, params: Any, obs: Shaped[Array, "total ..."]) -> Float[Array, "member env"]:
        prepared = self._unfold(self.network.prepare(obs))
        return jax.vmap(lambda p, x: self.network.apply(p, x)[1])(params, prepared)

    def decide(
        self, learner: LearnerState, obs: Shaped[Array, "total ..."], time: Int[Array, ""]
    ) -> Decision:
        """Sample one action per environment."""

        def key(root: jax.Array, iteration: jax.Array) -> jax.Array:
            acting = jax.random.fold_in(root, Purpose.ACT)
            return jax.random.fold_in(jax.random.fold_in(acting, iteration), time)

        prepared = self._unfold(self.network.prepare(obs))
        keys = jax.vmap(key)(learner.key, learner.iteration)
        return Decision(prepared, *jax.vmap(self.learner.act)(learner.params, prepared, keys))

    def outcome(self, params: Any, step: Step) -> Outcome:
        """Reshape a step to members; value the successors that autoreset hides."""
        cut_value = jnp.zeros((self.members, self.config.num_envs), jnp.float32)
        if self.env.resets_in_step:
            cut_value = jax.lax.cond(
                jnp.any(step.truncated),
                lambda: self._values(params, step.next_obs),
                lambda: cut_value,
            )
        return Outcome(
            reward=self._unfold(step.reward),
            terminated=self._unfold(step.terminated),
            truncated=self._unfold(step.truncated),
            valid=self._unfold(step.valid),
            cut_value=cut_value,
        )

    def finish(
        self,
        learner: LearnerState,
        last_obs: Shaped[Array, "total ..."],
        decisions: Decision,
        outcomes: Outcome,
    ) -> Transition:
        """Join [time, member, env] records; the last value comes from one more forward pass."""
        following = self._values(learner.params, last_obs)[None]
        next_value = jnp.concatenate([decisions.value[1:], following])
        if self.env.resets_in_step:
            next_value = jnp.where(outcomes.truncated, outcomes.cut_value, next_value)
        return Transition(
            obs=decisions.obs,
            action=decisions.action,
            log_prob=decisions.log_prob,
            value=decisions.value,
            next_value=next_value,
            reward=outcomes.reward,
            terminated=outcomes.terminated,
            truncated=outcomes.truncated,
            valid=outcomes.valid,
        )

    def traced(self, state: TrainState) -> tuple[TrainState, Transition]:
        """One rollout inside jit, for environments that can be traced."""

        def body(
            carry: tuple[Any, Array, EpisodeStats], time: Array
        ) -> tuple[tuple[Any, Array, EpisodeStats], tuple[Decision, Outcome]]:
            env_state, obs, episodes = carry
            decision = self.decide(state.learner, obs, time)
            env_state, step = self.env.step(env_state, decision.action.reshape(-1))
            episodes = episode_stats.update(episodes, step)
            outcome = self.outcome(state.learner.params, step)
            return (env_state, step.obs, episodes), (decision, outcome)

        carry = (state.env_state, state.obs, state.episodes)
        times = jnp.arange(self.config.num_steps)
        (env_state, obs, episodes), records = jax.lax.scan(body, carry, times)
        batch = self.finish(state.learner, obs, *records)
        return dataclasses.replace(state, env_state=env_state, obs=obs, episodes=episodes), batch

    def warm_up(self, state: TrainState) -> Transition:
        """Compile what the host path calls, on fabricated steps; returns the batch they make."""
        decision = self._decide_jit(state.learner, state.obs, 0)
        total = np.zeros(self.env.num_envs, np.float32)
        flag = total > 0
        step = Step(state.obs, total, flag, flag, state.obs, ~flag, Episode(total, flag))
        record = (decision, self._outcome_jit(state.learner.params, step))
        stacked = jax.tree.map(lambda x: jnp.stack([x] * self.config.num_steps), record)
        return self._finish_jit(state.learner, state.obs, *stacked)

    def hosted(self, state: TrainState) -> tuple[TrainState, Transition]:
        """One rollout stepped from the host, for environments that cannot be traced."""
        env_state, obs, episodes = state.env_state, state.obs, state.episodes
        records = []
        for time in range(self.config.num_steps):
            decision = self._decide_jit(state.learner, obs, time)
            env_state, step = self.env.step(env_state, np.asarray(decision.action).reshape(-1))
            # JAX reads numpy arrays later than it is called, and the simulator may write again.
            step = jax.tree.map(np.array, step)
            episodes = episode_stats.update(episodes, step)
            records.append((decision, self._outcome_jit(state.learner.params, step)))
            obs = step.obs
        stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *records)
        batch = self._finish_jit(state.learner, obs, *stacked)
        return dataclasses.replace(state, env_state=env_state, obs=obs, episodes=episodes), batch
