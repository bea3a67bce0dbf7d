"""From a configuration and an optimizer to compiled parts and a first state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rl_eval.config import RunConfig
from rl_eval.envs.registry import make_env
from rl_eval.ppo.learner import Optimizer, make_learner
from rl_eval.ppo.networks import make_network
from rl_eval.ppo.population import Population, make_population
from rl_eval.ppo.state import TrainState, traced
from rl_eval.run.evaluate import Evaluator, make_evaluator
from rl_eval.run.loop import MAX_CHUNK
from rl_eval.settings import SettingsError
from rl_eval.types import Environment


class Built(NamedTuple):
    """The compiled parts that a configuration describes."""

    env: Environment
    population: Population
    evaluator: Evaluator | None
    eval_params: Callable[[Any, Any], Any] | None


Build = Callable[..., Built]  # as `build`


def build(
    config: RunConfig,
    optimizer: Optimizer,
    resumed: int = 0,
    like: Built | None = None,
    seeds: Sequence[int] = (),
) -> Built:
    """Environment pool, population and evaluator; `resumed`: how often the run was so far.

    `seeds`: of the members, where they are not those of `config`; there may be equal ones.
    `like`: those of a configuration that differs in no more than seeds (as many) and traced
    numbers. Its compiled programs serve again, unless a simulator lives outside of them.

    Raises:
        SettingsError: the parts do not fit together.
    """
    try:
        env = make_env(
            config.env.id,
            num_envs=config.ppo.num_envs,
            seeds=tuple(seeds) or config.seeds,
            path=config.env.path,
            atari=config.env.atari,
            kwargs=config.env.kwargs,
            index=resumed,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if like is not None and env.jittable and env.rewindable:
        return like._replace(env=env)
    try:
        network = make_network(config.network, env.observation, env.num_actions)
    except ValueError as error:
        env.close()
        raise SettingsError(str(error)) from None
    learner = make_learner(network, optimizer, config.ppo, config.num_iterations)
    special = optimizer.eval_params
    return Built(
        env,
        make_population(env, network, learner, config.ppo, MAX_CHUNK),
        None if config.evaluation.every is None else make_evaluator(config, network),
        jax.jit(jax.vmap(special)) if special else None,
    )


def start(members: Sequence[RunConfig], built: Built, optimizer: Optimizer) -> TrainState:
    """The first state of members with a seed and traced hyperparameters of their own."""
    each = [traced(c.hparams, optimizer.numbers(c.optimizer.hyperparameters)) for c in members]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *each)
    return built.population.init([config.seeds[0] for config in members], stacked, built.env)
