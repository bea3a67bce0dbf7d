"""The learner without the command line: three pure functions over a pool of environments."""

from __future__ import annotations

import jax
import numpy as np
import optax

from rl_eval.config import NetworkConfig, PPOConfig, PPOHparams
from rl_eval.envs.registry import make_env
from rl_eval.ppo.learner import Optimizer, make_learner
from rl_eval.ppo.networks import make_network
from rl_eval.ppo.population import make_population
from rl_eval.ppo.state import traced


def returns(seeds: tuple[int, ...] = (0, 1), iterations: int = 100) -> np.ndarray:
    """Mean full-game return of each seed over the second half of a CartPole run. [seed]"""
    config = PPOConfig(num_envs=8, num_steps=64, update_epochs=4, num_minibatches=4)
    env = make_env("CartPole-v1", num_envs=config.num_envs, seeds=seeds)
    network = make_network(NetworkConfig(), env.observation, env.num_actions)
    optimizer = Optimizer(
        lambda num_steps, numbers: optax.with_extra_args_support(
            optax.adam(numbers["learning_rate"])
        )
    )
    learner = make_learner(network, optimizer, config, iterations)
    population = make_population(env, network, learner, config, max_chunk=iterations)

    one = traced(PPOHparams(), {"learning_rate": 1e-3})
    hparams = jax.tree.map(lambda x: np.broadcast_to(x, (len(seeds),)), one)
    state = population.init(seeds, hparams)
    _, metrics = population.run(state, iterations)
    games = jax.tree.map(lambda x: np.asarray(x)[iterations // 2 :].sum(0), metrics.games)
    return games.return_sum / games.count


if __name__ == "__main__":
    print(returns())
