"""Hyperparameter sensitivity after Adkins, Bowling and White (NeurIPS 2024), with intervals.

Tuned per env, an algorithm scores the mean over envs of its best setting on each; tuned across
envs, the best mean over envs of one setting. The difference is its sensitivity: what is lost by
not tuning for each env. Its effective dimensionality is the least number of hyperparameters that
must be tuned per env, the others staying at the cross-env best, to reach 95 % of the first score.

The best of noisy means is biased upwards, the more so the more settings there are. So beside the
published formulas stand `held_out` values (settings chosen by one half of the runs, scored by the
other, averaged over splits), and intervals that repeat the choice. All settings count, with
diverged ones at their floor score, and all must have been run on all envs.

Designs that are not full grids: "the others staying" needs settings that agree exactly with the
cross-env best in those others, and of a random design there are none. Then only ends of the
dimensionality are measured: 0 where tuning across envs is enough, otherwise from 1 to what the
settings that were run can show, mostly all. Between the ends a model (`surrogate`) estimates it.
Tuned scores and sensitivity need no grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit

from rl_eval.stats.axes import named
from rl_eval.stats.surrogate import Estimate, estimate
from rl_eval.stats.tuning import MAX_HYPERPARAMETERS, Tuned, default_of, tuned
from rl_eval.stats.values import Column, codes

TRUSTED = 0.5  # share of the variance of left-out settings that a model must explain


class Sensitivity(NamedTuple):
    """As published (same runs choose and score), held out, and the interval's ends.

    The held-out dimensionality is a mean over splits, hence a fraction. With `complete` False not
    all combinations were run: dimensionalities are those of `model`, NaN where it explains too
    little or there is none, and only the ends are measured.
    """

    published: Tuned
    held_out: Tuned
    low: Tuned
    high: Tuned
    complete: bool
    model: Estimate | None = None


def sensitivity(
    scores: Float[np.ndarray, "config run env"],
    columns: Sequence[Column],
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 500,
    share: float = 0.95,
) -> Sensitivity:
    """Sensitivity of one algorithm, with intervals that include the choice of settings.

    The intervals are pivotal: the scatter of held-out values about the published ones, in a world
    where each setting's runs are redrawn, widened as Student's t is for few runs, is laid around
    the held-out values found. That also takes out the loss from choosing by half of the runs. On a
    ridge, a hill and a plain at 2 to 10 runs, nominal 95 % intervals held the truth in 90 to 100 %
    of 120 simulated sweeps each. The dimensionality's are plain quantiles.

    Args:
        scores: normalised per env to 0 = knows nothing, larger is better.
        columns: the value that each setting has of each hyperparameter.
        share: of the per-env tuned score that defines the dimensionality.

    Raises:
        ValueError: fewer than two runs, a tuned score that is not positive, wrong shapes.
    """
    values = named(scores, "config run env")
    _check(values, columns)
    levels = levels_of(columns)
    runs = values.shape[1]
    centre = values.mean(axis=1)
    published = tuned(centre, centre, levels, share)
    if published.per_env <= 0:
        raise ValueError(
            f"the per-env tuned score is {published.per_env:.3g}, and a share of what is not "
            "positive has no meaning: normalise scores so that 0 is knowing nothing"
        )
    splits = [_both_ways(_split(values, rng), levels, share) for _ in range(resamples)]
    held_out = np.mean(splits, axis=0)
    residuals = (values - centre[:, None]) * np.sqrt(runs / (runs - 1))
    worlds = [_both_ways(centre + _redraw(residuals, rng), levels, share) for _ in range(resamples)]
    # A tuned score rests on the runs of one setting per env: few degrees of freedom.
    ends, df = np.array([(1 - level) / 2, (1 + level) / 2]), values.shape[2] * (runs - 1)
    widen = stdtrit(df, ends[1]) / ndtri(ends[1])
    low, high = np.quantile(worlds, ends, axis=0)
    scatter = widen * (np.stack([high, low]) - np.array(published))
    low[:3], high[:3] = (held_out - scatter)[:, :3]
    low[3], high[3] = np.floor(low[3]), np.ceil(high[3])
    held, lower, upper = (Tuned(*part.tolist()) for part in (held_out, low, high))
    if is_full_grid(levels):
        return Sensitivity(published, held, lower, upper, complete=True)
    # Settings that were not run might do with one hyperparameter where those that were need more.
    lower = lower._replace(dimensionality=min(lower.dimensionality, 1.0))
    model = estimate(values, columns, default_of(centre, levels), rng, share)
    best = _between(model, lower.dimensionality, upper.dimensionality)
    published, held = (part._replace(dimensionality=best) for part in (published, held))
    return Sensitivity(published, held, lower, upper, complete=False, model=model)


def levels_of(columns: Sequence[Column]) -> Int[np.ndarray, "config hyperparameter"]:
    """Which of its values, by exact value, every setting has of each hyperparameter."""
    return np.stack([codes(column.values)[0] for column in columns], axis=1)


def is_full_grid(levels: Int[np.ndarray, "config hyperparameter"]) -> bool:
    """Whether all combinations were run, and are few enough to be looked at."""
    if levels.shape[1] > MAX_HYPERPARAMETERS:
        return False
    cells = math.prod(len(np.unique(column)) for column in levels.T)
    return len(np.unique(levels, axis=0)) == cells


def _between(model: Estimate | None, low: float, high: float) -> float:
    """The dimensionality by a model within what was measured; NaN if it cannot be told."""
    if low == high:
        return low
    if model is None or model.explained < TRUSTED:
        return math.nan
    return float(min(max(model.dimensionality, low), high))


def _both_ways(halves: np.ndarray, levels: np.ndarray, share: float) -> np.ndarray:
    """Mean of choosing by the first half and scoring by the second, and the reverse."""
    first, second = halves
    ways = tuned(first, second, levels, share), tuned(second, first, levels, share)
    return np.mean(ways, axis=0)


def _split(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means over two random halves of the runs of each setting and env. [half, config, env]"""
    return _halves(rng.permuted(values, axis=1))


def _redraw(residuals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means over two halves' worth of residuals, drawn with replacement. [half, config, env]"""
    picks = rng.integers(residuals.shape[1], size=residuals.shape)
    return _halves(np.take_along_axis(residuals, picks, axis=1))


def _halves(values: np.ndarray) -> np.ndarray:
    half = values.shape[1] // 2
    return np.stack([values[:, :half].mean(axis=1), values[:, half:].mean(axis=1)])


def _check(scores: np.ndarray, columns: Sequence[Column]) -> None:
    configs, runs, _ = scores.shape
    if runs < 2:
        raise ValueError("one run per setting cannot both choose and score: run at least two seeds")
    for column in columns:
        if len(column.values) != configs:
            raise ValueError(
                f"a column has {len(column.values)} values, scores [config, run, env] have "
                f"{configs} configs: one value per config"
            )
