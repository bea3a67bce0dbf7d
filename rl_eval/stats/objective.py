"""What a trial is worth: its learning curve as one number, divergence counted, seed noise shown."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rl_eval.stats.axes import named
from rl_eval.stats.values import snapped


def floored(
    scores: Float[np.ndarray, ...], floor: float, diverged: Bool[np.ndarray, ...] | None = None
) -> Float[np.ndarray, ...]:
    """Scores in which whatever diverged, or is not finite, counts as `floor`."""
    lost = ~np.isfinite(scores)
    return np.where(lost if diverged is None else lost | diverged, floor, scores)


def area_under_curve(
    env_steps: Float[np.ndarray, " point"], returns: Float[np.ndarray, "*batch point"]
) -> Float[Any, "*batch"]:
    """Mean height of the learning curve, in units of return: its area over its length.

    Raises:
        ValueError: fewer than two points, or env steps that do not rise.
    """
    x, y = named(env_steps, "point", "env_steps"), named(returns, "... point", "returns")
    if len(x) < 2 or np.any(np.diff(x) <= 0):
        raise ValueError("a curve has an area from two points on, at rising env steps")
    return np.trapezoid(y, x, axis=-1) / (x[-1] - x[0])


def final(returns: Float[np.ndarray, "*batch point"], points: int = 1) -> Float[Any, "*batch"]:
    """Mean of the last `points` evaluations."""
    return named(returns, "... point", "returns")[..., -points:].mean(axis=-1)


def best_checkpoint(episodes: Float[np.ndarray, "*batch point episode"]) -> Float[Any, "*batch"]:
    """Return of the best evaluation, without the luck of having been chosen for it.

    The best point is chosen by one half of its episodes and scored by the other, both ways round;
    the plain maximum over points grows with their number even if nothing is learned. Of points
    that are equally good to choose, the mean counts.

    Raises:
        ValueError: fewer than two episodes per evaluation.
    """
    values = named(episodes, "... point episode", "episodes")
    if values.shape[-1] < 2:
        raise ValueError("the best checkpoint needs two episodes per evaluation: choose and score")
    halves = values[..., ::2].mean(axis=-1), values[..., 1::2].mean(axis=-1)
    scored = []
    for choose, score in (halves, halves[::-1]):
        settled = snapped(choose)
        best = settled == settled.max(axis=-1, keepdims=True)
        scored.append((score * best).sum(axis=-1) / best.sum(axis=-1))
    return (scored[0] + scored[1]) / 2


class SeedNoise(NamedTuple):
    """How much of the spread between trials is seeds.

    per_run: standard deviation of one run about its trial's mean, pooled over trials.
    per_trial: standard error of a trial's mean.
    reliability: share of the variance of trial means that is not seed noise; 0: all noise.
    """

    per_run: float
    per_trial: float
    reliability: float


def seed_noise(objective: Float[np.ndarray, "trial run"]) -> SeedNoise:
    """Seed noise of an objective measured by several runs per trial.

    Raises:
        ValueError: fewer than two runs or two trials.
    """
    values = named(objective, "trial run", "objective")
    if min(values.shape) < 2:
        raise ValueError(f"seed noise needs two trials of two runs, got {values.shape}")
    within = values.var(axis=1, ddof=1).mean()
    error = within / values.shape[1]
    between = values.mean(axis=1).var(ddof=1)
    reliability = max(0.0, 1 - error / between) if between > 0 else 0.0
    return SeedNoise(float(np.sqrt(within)), float(np.sqrt(error)), float(reliability))
