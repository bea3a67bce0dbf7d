"""Small populations for the tests of this folder."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rl_eval.config import NetworkConfig, PPOConfig, PPOHparams
from rl_eval.envs.registry import make_env
from rl_eval.ppo.learner import Optimizer, make_learner
from rl_eval.ppo.networks import make_network
from rl_eval.ppo.population import make_population
from rl_eval.ppo.state import traced

PPO = PPOConfig(num_envs=4, num_steps=16, update_epochs=2, num_minibatches=4)


def adam(num_steps, hparams):
    def schedule(count):
        return hparams["learning_rate"] * (1 - count / num_steps)

    return optax.with_extra_args_support(optax.adam(schedule, eps=1e-5))


def hparams_of(numbers, seeds, **ppo):
    """One row of traced hyperparameters per seed; `numbers` may give a list per name."""
    one = traced(PPOHparams(**ppo), {})
    rows = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(seeds),)), one)
    optimizer = {
        k: jnp.broadcast_to(jnp.asarray(v, jnp.float32), (len(seeds),)) for k, v in numbers.items()
    }
    return rows._replace(optimizer=optimizer)


def start(
    env="CartPole-v1",
    seeds=(0,),
    make=adam,
    iterations=20,
    ppo=PPO,
    needs=(),
    follows_run=False,
    **config,
):
    """(population, env) for a run of `iterations`."""
    env = make_env(env, num_envs=ppo.num_envs, seeds=seeds) if isinstance(env, str) else env
    network = make_network(
        NetworkConfig(**{"hidden_sizes": (16,), **config}), env.observation, env.num_actions
    )
    optimizer = Optimizer(make, frozenset(needs), follows_run=follows_run)
    learner = make_learner(network, optimizer, ppo, iterations)
    return make_population(env, network, learner, ppo, max_chunk=iterations), network


def run(seeds=(0,), learning_rate=1e-3, iterations=20, chunks=(20,), ppo_hparams=None, **kwargs):
    """Final state and stacked metrics of a whole run, as numpy."""
    population, _ = start(seeds=seeds, iterations=iterations, **kwargs)
    hparams = hparams_of({"learning_rate": learning_rate}, seeds, **(ppo_hparams or {}))
    state = population.init(seeds, hparams)
    parts = []
    for n in chunks:
        state, rows = population.run(state, n)
        parts.append(jax.tree.map(lambda x, n=n: np.asarray(x)[:n], rows))
    metrics = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
    return state, metrics


def member(tree, i):
    """One member of a population's learner state or metrics ([time, member])."""
    return jax.tree.map(lambda x: np.asarray(x)[i], tree)


def smaller(**changes):
    return dataclasses.replace(PPO, **changes)
