"""Sweeps over a closed form in place of training (`rl_eval.envs.formulas`), as records."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from optimizers import registry
from rl_eval.config import (
    EnvConfig,
    EvaluationConfig,
    NetworkConfig,
    OptimizerConfig,
    PPOConfig,
    PPOHparams,
    RunConfig,
)
from rl_eval.envs.formulas import FLOOR
from rl_eval.records.sweep import write_sweep
from sweeps.space.space import make_space
from sweeps.tasks.formula import diverges, evaluate, final_return
from sweeps.trials import Trial, plan, run_directory, sweep_record

SPACE = {
    "description": "closed form",
    "design": "sobol",
    "optimizer": {
        "learning_rate": {"log_uniform": [1e-5, 0.1]},
        "weight_decay": "default",
        "mult_1d": "default",
    },
    "ppo": {
        "gamma": {"choice": [0.9, 0.95, 0.99]},
        "gae_lambda": {"uniform": [0.8, 1.0]},
        "ent_coef": {"log_uniform": [1e-4, 1e-1]},
        "num_minibatches": {"int": [1, 2]},
    },
}


def base(env: str, optimizer: str) -> RunConfig:
    """A small configuration for all that does not vary."""
    return RunConfig(
        env=EnvConfig(env),
        optimizer=OptimizerConfig(optimizer, registry.get(optimizer).resolve({})),
        total_timesteps=100_000,
        network=NetworkConfig(),
        ppo=PPOConfig(num_envs=8, num_steps=32, update_epochs=1, num_minibatches=1),
        hparams=PPOHparams(),
        evaluation=EvaluationConfig(every=10_000, episodes=4),
    )


def write(
    sweep: Path,
    envs: tuple[str, ...] = ("probe/landscape",),
    optimizers: tuple[str, ...] = ("celo2",),
    trials: int = 64,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> list[Trial]:
    """Plan the sweep and write every run of it."""
    space = make_space(SPACE, optimizers, "landscape")
    bases = [base(env, optimizer) for env in envs for optimizer in optimizers]
    planned = plan(space, bases, seed=0, trials=trials)
    record = sweep_record(
        space,
        planned,
        seeds=seeds,
        design="sobol",
        design_seed=0,
        commands=["rl-eval sweep --space landscape.yaml"],
    )
    write_sweep(sweep, record)
    for trial in planned:
        for seed in seeds:
            evaluate(_alone(trial, seed), run_directory(sweep, trial.id, seed), {})
    return planned


def score(trial: Trial, seed: int) -> float:
    """What the run of a seed ends with."""
    return FLOOR if diverges(trial.config) else final_return(_alone(trial, seed))


def _alone(trial: Trial, seed: int) -> RunConfig:
    return dataclasses.replace(trial.config, seeds=(seed,))
