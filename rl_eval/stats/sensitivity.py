"""Hyperparameter sensitivity after Adkins, Bowling and White (NeurIPS 2024), with intervals.

Tuned per env, an algorithm scores the mean over envs of its best setting on each; tuned across
envs, the best mean over envs of one setting. The difference is its sensitivity: what is lost by
not tuning for each env. Its effective dimensionality is the least number of hyperparameters that
must be tuned per env, the others staying at the cross-env best, to reach 95 % of the first score.

The best of noisy means is biased upwards, the more so the more settings there are. So beside the
published formulas stand `held_out` values (settings chosen by one half of the runs, scored by the
other, averaged over splits), and intervals that repeat the choice. All settings count, with
diverged ones at their floor score, and all must have been run on all envs.

Designs that are not full grids: "the others staying" needs settings that agree with the cross-env
best in those others. Continuous hyperparameters are therefore cut into levels (`levels_of`), and
of the settings that a subset frees, those that were run are considered. With `complete` False
some were not, so a subset may reach less than it could and the dimensionality is an upper bound;
with random designs of few trials it is usually the number of hyperparameters. Tuned scores and
sensitivity need no grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit

from rl_eval.stats.axes import named

MAX_HYPERPARAMETERS = 16  # all 2^16 subsets are looked at


class Tuned(NamedTuple):
    """Scores of an algorithm tuned per env and across envs, and what follows from them."""

    per_env: float
    across_envs: float
    sensitivity: float
    dimensionality: float


class Sensitivity(NamedTuple):
    """As published (same runs choose and score), held out, and the interval's ends.

    The held-out dimensionality is a mean over splits, hence a fraction.
    """

    published: Tuned
    held_out: Tuned
    low: Tuned
    high: Tuned
    complete: bool


def sensitivity(
    scores: Float[np.ndarray, "config run env"],
    levels: Int[np.ndarray, "config hyperparameter"],
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
        levels: which value each setting has of each hyperparameter, see `levels_of`.
        share: of the per-env tuned score that defines the dimensionality.

    Raises:
        ValueError: fewer than two runs, a tuned score that is not positive, wrong shapes.
    """
    values = named(scores, "config run env")
    _check(values, levels)
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
    return Sensitivity(published, held, lower, upper, complete=_is_full_grid(levels))


def tuned(
    choose: Float[np.ndarray, "config env"],
    score: Float[np.ndarray, "config env"],
    levels: Int[np.ndarray, "config hyperparameter"],
    share: float = 0.95,
) -> Tuned:
    """Settings chosen by `choose`, valued by `score`; the same array twice is as published.

    The dimensionality means nothing unless the per-env tuned score is positive.
    """
    default = int(choose.mean(axis=1).argmax())
    across = float(score[default].mean())
    freed = _freed(choose, score, levels != levels[default])
    per_env = float(freed[-1])
    sizes = np.array([bin(subset).count("1") for subset in range(len(freed))])
    dimensionality = float(sizes[freed >= min(share * per_env, per_env)].min())
    return Tuned(per_env, across, per_env - across, dimensionality)


def levels_of(
    columns: Sequence[Sequence[Any] | np.ndarray], bins: int = 3
) -> Int[np.ndarray, "config hyperparameter"]:
    """Which level of each hyperparameter every setting has, from one column of values each.

    A numeric column with more than 2 * bins different values is taken as continuous and cut into
    `bins` levels of equally many settings.
    """
    return np.stack([_levels(np.asarray(column), bins) for column in columns], axis=1)


def _levels(column: np.ndarray, bins: int) -> np.ndarray:
    unique, index = np.unique(column, return_inverse=True)
    if len(unique) <= 2 * bins or not np.issubdtype(column.dtype, np.number):
        return index
    inner = np.quantile(column, np.arange(1, bins) / bins)
    return np.searchsorted(inner, column, side="right")


def _is_full_grid(levels: np.ndarray) -> bool:
    cells = np.prod([len(np.unique(column)) for column in levels.T])
    return len(np.unique(levels, axis=0)) == int(cells)


def _freed(choose: np.ndarray, score: np.ndarray, differs: np.ndarray) -> np.ndarray:
    """Mean score over envs with each subset of the hyperparameters tuned per env. [subset]

    Bit h of a subset's number says that hyperparameter h is free.
    """
    num_hyperparameters, num_envs = differs.shape[1], choose.shape[1]
    number = differs @ (1 << np.arange(num_hyperparameters))
    best = np.full((2**num_hyperparameters, num_envs), -np.inf)
    worth = np.full_like(best, -np.inf)
    # Best among the settings that differ from the default in exactly this subset ...
    for env in range(num_envs):
        order = np.argsort(choose[:, env], kind="stable")
        best[number[order], env] = choose[order, env]
        worth[number[order], env] = score[order, env]
    # ... and in any part of it, one hyperparameter after the other.
    subsets = np.arange(len(best))
    for h in range(num_hyperparameters):
        with_h = subsets[subsets & (1 << h) != 0]
        without = with_h ^ (1 << h)
        better = best[without] > best[with_h]
        best[with_h] = np.where(better, best[without], best[with_h])
        worth[with_h] = np.where(better, worth[without], worth[with_h])
    return worth.mean(axis=1)


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


def _check(scores: np.ndarray, levels: np.ndarray) -> None:
    configs, runs, _ = scores.shape
    if runs < 2:
        raise ValueError("one run per setting cannot both choose and score: run at least two seeds")
    if levels.ndim != 2 or len(levels) != configs:
        raise ValueError(
            f"levels must be [config, hyperparameter] with {configs} configs as in scores "
            f"[config, run, env], got {levels.shape}"
        )
    if levels.shape[1] > MAX_HYPERPARAMETERS:
        raise ValueError(
            f"{levels.shape[1]} hyperparameters have too many subsets; at most "
            f"{MAX_HYPERPARAMETERS}: leave out those that were not varied"
        )
