"""A population of learners over one pool of environments: whole iterations, in chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rl_eval.config import PPOConfig
from rl_eval.envs import episode_stats
from rl_eval.envs.episode_stats import Games
from rl_eval.ppo.learner import Learner, UpdateMetrics
from rl_eval.ppo.networks import Network
from rl_eval.ppo.rollout import Rollout
from rl_eval.ppo.state import Hparams, LearnerState, TrainState
from rl_eval.types import Environment, Transition


class IterationMetrics(NamedTuple):
    """One iteration of every member: leaves are [member]; stacked by a chunk to [time, member]."""

    update: UpdateMetrics
    games: Games
    gradient_steps: Int[Array, "*shape"]
    diverged_at: Int[Array, "*shape"]


class Population(NamedTuple):
    """`init(seeds, hparams)`, hparams stacked to [member]; `run(state, n)` goes n iterations on.

    `init(seeds, hparams, pool)` starts in another pool of the same environments, such as that of
    other seeds; nothing is compiled again where they are jittable and rewindable.

    `run` consumes its state (buffers are donated) and returns metrics of max_chunk rows, of which
    the first n count. `warm_up(state)` compiles it and leaves the state as it was.
    """

    init: Callable[..., TrainState]
    run: Callable[[TrainState, int], tuple[TrainState, IterationMetrics]]
    warm_up: Callable[[TrainState], TrainState]


def over_members(
    update: Callable[[LearnerState, Transition], Any], members: int
) -> Callable[[LearnerState, Transition], Any]:
    """`update` for learners [member, ...] and rollouts [time, member, ...].

    A member alone goes without the axis, at which XLA would fuse less.
    """
    if members > 1:
        return jax.vmap(update, in_axes=(0, 1))

    def alone(learner: LearnerState, batch: Transition) -> Any:
        one = jax.tree.map(lambda x: x[0], learner), jax.tree.map(lambda x: x[:, 0], batch)
        return jax.tree.map(lambda x: x[None], update(*one))

    return alone


def in_chunks(
    iteration: Callable[[TrainState], tuple[TrainState, IterationMetrics]], max_chunk: int
) -> Callable[[TrainState, Int[Array, ""]], tuple[TrainState, IterationMetrics]]:
    """`iteration` repeated n times, with room for the rows of max_chunk: any n is one program."""

    def run(state: TrainState, n: Int[Array, ""]) -> tuple[TrainState, IterationMetrics]:
        shapes = jax.eval_shape(iteration, state)[1]
        rows = jax.tree.map(lambda s: jnp.zeros((max_chunk, *s.shape), s.dtype), shapes)

        def body(
            i: Array, carry: tuple[TrainState, IterationMetrics]
        ) -> tuple[TrainState, IterationMetrics]:
            state, rows = carry
            state, row = iteration(state)
            return state, jax.tree.map(lambda all_, one: all_.at[i].set(one), rows, row)

        return jax.lax.fori_loop(0, n, body, (state, rows))

    return run


def make_population(
    env: Environment, network: Network, learner: Learner, config: PPOConfig, max_chunk: int
) -> Population:
    """Learners that share an environment pool laid out [member, env]."""
    rollout = Rollout(env, network, learner, config)
    members = rollout.members

    # Not vmapped: a batch of QR decompositions (orthogonal weights) never ends on XLA's CPU backend
    # where its thread pool has two threads, as on a machine of two cores.
    init_learners = jax.jit(lambda *args: jax.lax.map(lambda one: learner.init(*one), args))

    def init(seeds: Sequence[int], hparams: Hparams, pool: Environment = env) -> TrainState:
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
        env_state, obs = pool.reset()
        return TrainState(
            learner=init_learners(keys, hparams),
            env_state=env_state,
            obs=obs,
            episodes=episode_stats.init(env.num_envs),
        )

    def update(state: TrainState, batch: Transition) -> tuple[TrainState, IterationMetrics]:
        new, metrics = over_members(learner.update, members)(state.learner, batch)
        games = episode_stats.summarize(state.episodes, members)
        row = IterationMetrics(metrics, games, new.gradient_steps, new.diverged_at)
        episodes = episode_stats.clear(state.episodes)
        return dataclasses.replace(state, learner=new, episodes=episodes), row

    def traced_iteration(state: TrainState) -> tuple[TrainState, IterationMetrics]:
        return update(*rollout.traced(state))

    jitted_run = jax.jit(in_chunks(traced_iteration, max_chunk), donate_argnums=0)
    jitted_update = jax.jit(update)

    def run(state: TrainState, n: int) -> tuple[TrainState, IterationMetrics]:
        if env.jittable:
            return jitted_run(state, jnp.int32(n))
        rows = []
        for _ in range(n):
            state, row = jitted_update(*rollout.hosted(state))
            rows.append(row)
        return state, jax.tree.map(lambda *xs: np.stack(xs), *rows)

    def warm_up(state: TrainState) -> TrainState:
        if env.jittable:
            return jitted_run(state, jnp.int32(0))[0]
        jax.block_until_ready(jitted_update(state, rollout.warm_up(state)))
        return state

    return Population(init, run, warm_up)
