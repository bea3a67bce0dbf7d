"""A comparison in place of training: records with scores that are drawn from a seed."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from report.landscape import base

from rl_eval.config import RunConfig, to_dict
from rl_eval.envs.scores import random_score
from rl_eval.records.comparison import CompareRecord, write_compare
from rl_eval.records.run import SCHEMA, EvalRow, RunDirectory, write_json
from sweeps.comparison.plan import reported_trials
from sweeps.trials import run_directory

ENVS = ("CartPole-v1", "Acrobot-v1")
OPTIMIZERS = ("celo2", "adamw", "sgd")
EVALUATIONS = 5
Run = tuple[str, str, int]  # environment, optimizer, seed


def score(env: str, optimizer: str, seed: int) -> float:
    """What a run that completes ends with."""
    rng = np.random.default_rng([zlib.crc32(f"{env} {optimizer}".encode()), seed])
    middle = {"CartPole-v1": 300.0, "Acrobot-v1": -200.0}.get(env, 10.0)
    return float(rng.normal(middle, 60.0))


def write(
    out: Path,
    envs: Sequence[str] = ENVS,
    optimizers: Sequence[str] = OPTIMIZERS,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    diverged: Collection[Run] = (),
    failed: Collection[Run] = (),
    cpus: Sequence[str] = ("Z80",),
) -> Path:
    """The directory of a comparison without tuning; optimizers take turns on the processors."""
    record = CompareRecord(
        schema=SCHEMA,
        suite=None,
        envs=tuple(envs),
        optimizers=tuple(optimizers),
        baseline="adamw",
        seeds=tuple(seeds),
        tuning=None,
        bases=tuple(to_dict(base(env, name)) for env in envs for name in optimizers),
        commands=("rl-eval compare --env A,B",),
    )
    write_compare(out, record)
    for i, trial in enumerate(reported_trials(out, record)):
        machine = {"cpu": cpus[i % len(optimizers) % len(cpus)], "cpu_count": 1, "devices": ["cpu"]}
        env, name = trial.config.env.id, trial.config.optimizer.name
        for seed in seeds:
            directory = RunDirectory(run_directory(out, trial.id, seed))
            config = dataclasses.replace(trial.config, seeds=(seed,))
            directory.create(to_dict(config), machine)
            run = (env, name, seed)
            if run in failed:
                directory.set_status("failed", "the worker was killed by SIGKILL")
            else:
                _finish(directory, config, run, run in diverged)
        cost = RunDirectory(out / "cost" / trial.id)
        cost.create(to_dict(trial.config), machine)
        numbers = {"optimizer_step_ms": 0.5 + i, "compile_s": 2.0 + i, "sps": 1000.0 * (1 + i)}
        write_json(cost.path / "cost.json", {"state_multiple": 1.0 + i, **numbers})
    return out


def _finish(directory: RunDirectory, config: RunConfig, run: Run, diverged: bool) -> None:
    """A curve in equal steps to the score; one that diverges stops after the first."""
    last = score(*run)
    for i in range(1, 2 if diverged else EVALUATIONS + 1):
        directory.append(_evaluation(i, last * i / EVALUATIONS, wall_s=2.0 * i + run[2]))
    if diverged:
        directory.set_status("diverged", "early", eval_return=random_score(run[0]))
    else:
        directory.set_status("completed", None, eval_return=last)


def _evaluation(i: int, value: float, wall_s: float) -> EvalRow:
    return EvalRow(
        iteration=i,
        env_steps=20_000 * i,
        frames=None,
        gradient_steps=i,
        wall_s=wall_s,
        policy="stochastic",
        diverged=False,
        episodes=2,
        return_mean=value,
        return_std=0.0,
        return_min=value,
        return_max=value,
        length_mean=1.0,
        returns=[value] * 2,
        lengths=[1] * 2,
    )
