"""What training leaves, of runs whose return is a formula (`rl_eval.envs.formulas`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rl_eval.config import RunConfig, to_dict
from rl_eval.envs.formulas import FLOOR, HEIGHT, LANDSCAPES
from rl_eval.records.run import EvalRow, RunDirectory
from sweeps.execution.work import Ending
from sweeps.tasks.asha import Pruned, judge_of

EVALUATIONS = 10
EPISODES = 4


def evaluate(
    config: RunConfig, directory: Path, facts: Mapping[str, Any]
) -> tuple[Ending, str | None, float | None]:
    """Record the run of one seed in an empty directory; how it ended, why, and its score."""
    run, judge = RunDirectory(directory), judge_of(directory, config)
    run.create(to_dict(config), facts)
    diverged, floor = diverges(config), config.diverged_score
    score = (FLOOR if floor is None else floor) if diverged else final_return(config)
    try:
        for i in range(1, EVALUATIONS + 1):
            # A curve that rises to the score and stays there.
            share = 1.0 if diverged else (1 - math.exp(-4 * i / EVALUATIONS)) / (1 - math.exp(-4))
            row = _row(config, i, score * share, diverged)
            run.append(row)
            if judge and not diverged:
                judge.look(row.env_steps)
    except Pruned as stopped:
        return stopped.record(directory, config.seeds[0])
    if judge and diverged:
        judge.diverged(score)
    status: Literal["completed", "diverged"] = "diverged" if diverged else "completed"
    reason = "the formula says so" if diverged else None
    results = {
        "seed": config.seeds[0],
        "env_steps": config.total_timesteps,
        "final_return": score,
        "eval_return": score,
        "diverged_at": 0 if diverged else None,
    }
    run.set_status(status, reason, **results)
    return status, reason, score


def _row(config: RunConfig, i: int, value: float, diverged: bool) -> EvalRow:
    return EvalRow(
        iteration=i,
        env_steps=config.total_timesteps * i // EVALUATIONS,
        frames=None,
        gradient_steps=i,
        wall_s=0.0,
        policy=config.evaluation.policy,
        diverged=diverged,
        episodes=EPISODES,
        return_mean=value,
        return_std=0.0,
        return_min=value,
        return_max=value,
        length_mean=1.0,
        returns=[value] * EPISODES,
        lengths=[1] * EPISODES,
    )


def expected_return(config: RunConfig) -> float:
    """The formula without the noise of seeds."""
    rate = _learning_rate(config)
    ridge = 1.0
    if isinstance(rate, float):
        decades = math.log10(rate / LANDSCAPES[config.env.id])
        ridge = math.exp(-0.5 * (decades / 0.4) ** 2)
    off_gamma = min(1.0, abs(config.hparams.gamma - 0.95) / 0.05)
    off_lambda = min(1.0, abs(config.hparams.gae_lambda - 0.9) / 0.1)
    return HEIGHT * ridge * (1 - 0.75 * off_gamma * off_lambda)


def final_return(config: RunConfig) -> float:
    """What the run of the configuration's one seed ends with."""
    return expected_return(config) + (-1) ** config.seeds[0]


def diverges(config: RunConfig) -> bool:
    """Whether every seed diverges."""
    settings, best = config.optimizer.hyperparameters, LANDSCAPES[config.env.id]
    rate, mult = _learning_rate(config), settings.get("mult_1d")
    if not isinstance(rate, float):
        return False
    return rate * mult > 30 * best if isinstance(mult, float) else rate > 10 * best


def _learning_rate(config: RunConfig) -> object:
    settings = config.optimizer.hyperparameters
    return settings.get("learning_rate", settings.get("lr"))
