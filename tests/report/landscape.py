"""A sweep over a closed form in place of training, written as the records that training leaves.

The return of a trial, at most 100, is

    100 * ridge * interaction + noise,
    ridge = exp(-0.5 * (log10(learning_rate / 1e-3) / 0.4)^2)     narrow, best at 1e-3
    interaction = 1 - 0.75 * |gamma - 0.95| * |gae_lambda - 0.9| / (0.05 * 0.1)
                  where either is right the other does not matter
    noise = +-1, +-2, ... by seed

ent_coef changes nothing, and learning_rate * mult_1d > 0.03 diverges (optimizers without mult_1d:
learning_rate > 0.01).
"""

from __future__ import annotations

import math
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
    to_dict,
)
from rl_eval.records import EvalRow, RunDirectory
from rl_eval.report.sweep_record import write_sweep
from sweeps.space import make_space
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
EVALUATIONS = 10
FLOOR = 0.0  # the stated score of divergence


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
        diverged_score=FLOOR,
    )


def best_return(config: RunConfig) -> float:
    """The closed form without noise."""
    rate = config.optimizer.hyperparameters["learning_rate"]
    ridge = math.exp(-0.5 * (math.log10(rate / 1e-3) / 0.4) ** 2)
    off = abs(config.hparams.gamma - 0.95) * abs(config.hparams.gae_lambda - 0.9)
    return 100 * ridge * (1 - 0.75 * off / (0.05 * 0.1))


def diverges(config: RunConfig) -> bool:
    settings = config.optimizer.hyperparameters
    if "mult_1d" in settings:
        return settings["learning_rate"] * settings["mult_1d"] > 0.03
    return settings["learning_rate"] > 0.01


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
    command = "rl-eval sweep --space landscape.yaml"
    write_sweep(
        sweep,
        sweep_record(
            space, planned, seeds=seeds, design="sobol", design_seed=0, commands=[command]
        ),
    )
    for trial in planned:
        for seed in seeds:
            _write_run(run_directory(sweep, trial.id, seed), trial, seed)
    return planned


def score(trial: Trial, seed: int) -> float:
    """What the run of a seed ends with."""
    if diverges(trial.config):
        return FLOOR
    lift = 1.0 if trial.config.env.id == "probe/landscape" else 0.5
    return lift * best_return(trial.config) + (seed + 1) * (-1) ** seed


def _write_run(folder: Path, trial: Trial, seed: int) -> None:
    directory = RunDirectory(folder)
    config = {**to_dict(trial.config), "seeds": [seed]}
    directory.create(config, {})
    diverged = diverges(trial.config)
    for i in range(1, EVALUATIONS + 1):
        share = 0.0 if diverged else 1 - math.exp(-4 * i / EVALUATIONS)
        end = 1 - math.exp(-4)
        value = FLOOR if diverged else score(trial, seed) * share / end
        directory.append(_evaluation(i, value, diverged and i > 2))
    facts = {"seed": seed, "final_return": FLOOR if diverged else score(trial, seed)}
    directory.set_status("diverged" if diverged else "completed", None, **facts)


def _evaluation(i: int, value: float, diverged: bool) -> EvalRow:
    return EvalRow(
        iteration=i,
        env_steps=10_000 * i,
        frames=None,
        gradient_steps=i,
        wall_s=float(i),
        policy="stochastic",
        diverged=diverged,
        episodes=4,
        return_mean=value,
        return_std=0.0,
        return_min=value,
        return_max=value,
        length_mean=1.0,
        returns=[value] * 4,
        lengths=[1] * 4,
    )
