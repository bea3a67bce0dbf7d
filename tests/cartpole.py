"""PPO on CartPole, compiled once for any number of optimizers: only their step is theirs."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rl_eval.config import NetworkConfig, PPOConfig, PPOHparams
from rl_eval.envs import episode_stats
from rl_eval.envs.registry import make_env
from rl_eval.ppo.gae import compute_gae
from rl_eval.ppo.learner import Optimizer, make_learner
from rl_eval.ppo.networks import make_network
from rl_eval.ppo.rollout import Rollout
from rl_eval.ppo.state import LearnerState, TrainState, traced
from rl_eval.ppo.update import Minibatch, Run, minibatch_gradient, optimizer_step

PPO = PPOConfig(num_envs=4, num_steps=16, update_epochs=1, num_minibatches=1)
HPARAMS = traced(PPOHparams(), {})


class Shared(NamedTuple):
    """`start(seed)`; `collect(state)`: the state after a rollout, and a gradient with its loss."""

    start: Any
    collect: Any


@functools.cache
def shared() -> Shared:
    """The environment, the network and the loss, compiled once a process."""
    env = make_env("CartPole-v1", num_envs=PPO.num_envs, seeds=(0,))
    network = make_network(NetworkConfig(hidden_sizes=(8,)), env.observation, env.num_actions)
    learner = make_learner(network, Optimizer(lambda *_: None), PPO, 1)  # type: ignore[arg-type, return-value]
    rollout = Rollout(env, network, learner, PPO)
    run = Run(network, None, PPO, frozenset(), 1)  # type: ignore[arg-type]

    def start(seed: int) -> TrainState:
        env_state, obs = env.reset()
        key = jax.random.key(seed)
        zero = jnp.int32(0)
        one = LearnerState(network.init(key), (), HPARAMS, key, zero, zero, zero - 1)
        learner = jax.tree.map(lambda x: x[None], one)
        return TrainState(learner, env_state, obs, episode_stats.init(env.num_envs))

    @jax.jit
    def collect(state: TrainState) -> tuple[TrainState, Any, Any, Any]:
        state, batch = rollout.traced(state)
        batch = jax.tree.map(lambda x: x[:, 0], batch)
        advantages = compute_gae(batch, HPARAMS.gamma, HPARAMS.gae_lambda)
        rows = Minibatch(batch, advantages, advantages + batch.value)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)
        params = jax.tree.map(lambda x: x[0], state.learner.params)
        grads, terms, _ = minibatch_gradient(run, params, flat, HPARAMS)
        return state, params, grads, terms.total

    return Shared(start, collect)


def train(spec: Any, total_timesteps: int, seed: int = 0) -> tuple[Any, Any]:
    """Parameters before and after `total_timesteps` of CartPole with the defaults of a spec."""
    iterations = total_timesteps // PPO.batch_size
    static, numbers = spec.split(spec.resolve({}))
    numbers = {name: jnp.float32(number) for name, number in numbers.items()}
    start, collect = shared()

    def rule(numbers: Any) -> Any:
        return spec.build(iterations, **static, **numbers)

    @jax.jit
    def step(numbers: Any, params: Any, opt_state: Any, grads: Any, loss: Any) -> Any:
        take = jnp.isfinite(loss)  # as a learner, which must choose between two states
        new = optimizer_step(rule(numbers), grads, params, opt_state, value=loss)[:2]
        return jax.tree.map(lambda a, b: jnp.where(take, a, b), new, (params, opt_state))

    state = start(seed)
    first = jax.tree.map(lambda x: x[0], state.learner.params)
    opt_state = jax.jit(lambda numbers, params: rule(numbers).init(params))(numbers, first)
    for _ in range(iterations):
        state, params, grads, loss = collect(state)
        params, opt_state = step(numbers, params, opt_state, grads, loss)
        learner = dataclasses.replace(
            state.learner,
            params=jax.tree.map(lambda x: x[None], params),
            iteration=state.learner.iteration + 1,
        )
        state = dataclasses.replace(state, learner=learner)
    assert step._cache_size() == 1, "it compiles again after its first step"
    return first, params
