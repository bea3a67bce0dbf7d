"""Scores of many seeds trained as one population in this process, as the gate would record them."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from rl_eval.config import alone
from rl_eval.gate import protocol
from rl_eval.gate.baseline import Run
from rl_eval.ppo.state import NOT_DIVERGED
from rl_eval.run.build import build, start
from rl_eval.setup.configure import resolve
from rl_eval.setup.optimizer import prepare

ENV, STEPS = "CartPole-v1", 65_536  # 1024 gradient steps
SMALL = ("num_envs=16", "num_steps=64", "hidden_sizes=[32]")


@functools.cache
def _built(num_seeds, wrap):
    config, _ = resolve(
        env=ENV,
        optimizer="adamw",
        flags={"total_timesteps": STEPS, "seeds": list(range(num_seeds))},
        assignments=[*SMALL, "every=65536", "episodes=32"],
    )
    optimizer = prepare(config).optimizer
    if wrap is not None:
        make = optimizer.make
        optimizer = optimizer._replace(make=lambda *given: wrap(make(*given)))
    return config, optimizer, build(config, optimizer)


def train(seeds, learning_rate, wrap=None):
    """One run a seed. `wrap`: what is done to AdamW; compiled once for each number of seeds."""
    config, optimizer, built = _built(len(seeds), wrap)
    settings = {**config.optimizer.hyperparameters, "learning_rate": learning_rate}
    rule = dataclasses.replace(config.optimizer, hyperparameters=settings)
    config = dataclasses.replace(config, seeds=tuple(seeds), optimizer=rule)
    like = build(config, optimizer, like=built)
    state = start(alone(config), like, optimizer)
    state, _ = like.population.run(state, config.num_iterations)
    games = like.evaluator(state.learner.params, config.num_iterations, seeds=config.seeds)
    diverged = np.asarray(state.learner.diverged_at) != NOT_DIVERGED
    return [
        Run(seed, 0.0, None, True)
        if lost
        else Run(seed, protocol.score(ENV, float(mean), None), float(mean), False)
        for seed, lost, mean in zip(config.seeds, diverged, games.returns.mean(axis=1), strict=True)
    ]
