"""Scores of an algorithm tuned per env and across envs, by the settings that were run.

Ties are no luck: the worth of several settings that are equally good to choose is their mean, so
that nothing depends on the order of the settings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_eval.stats.values import snapped

MAX_HYPERPARAMETERS = 16  # of which all 2^16 subsets are looked at


class Tuned(NamedTuple):
    """Scores of an algorithm tuned per env and across envs, and what follows from them."""

    per_env: float
    across_envs: float
    sensitivity: float
    dimensionality: float


def tuned(
    choose: Float[np.ndarray, "config env"],
    score: Float[np.ndarray, "config env"],
    levels: Int[np.ndarray, "config hyperparameter"],
    share: float = 0.95,
) -> Tuned:
    """Settings chosen by `choose`, valued by `score`; the same array twice is as published.

    A subset of the hyperparameters may move to settings that were run and are exactly the default
    in all others. Where some of these were not run, the dimensionality is an upper bound. It means
    nothing unless the per-env tuned score is positive.
    """
    choose = snapped(choose)
    best = _best_across(choose)
    across = float(score[best].mean())
    differs = levels != levels[_default(levels, best)]
    per_env = float(_worth_of_best(choose, score))
    sensitivity = per_env - across
    target = min(share * per_env, per_env)
    if across >= target:
        return Tuned(per_env, across, sensitivity, 0.0)
    elsewhere = differs.any(axis=1)
    if differs.shape[1] > MAX_HYPERPARAMETERS or differs[elsewhere].all():
        return Tuned(per_env, across, sensitivity, float(differs.shape[1]))
    freed = _freed(choose, score, differs)
    sizes = np.array([bin(subset).count("1") for subset in range(len(freed))])
    dimensionality = float(sizes[1:][freed[1:] >= target].min(initial=differs.shape[1]))
    return Tuned(per_env, across, sensitivity, dimensionality)


def default_of(
    choose: Float[np.ndarray, "config env"], levels: Int[np.ndarray, "config hyperparameter"]
) -> int:
    """The setting that is best across envs, of equally good ones the first by its levels."""
    return _default(levels, _best_across(snapped(choose)))


def _best_across(choose: np.ndarray) -> Bool[np.ndarray, " config"]:
    means = snapped(choose.mean(axis=1))
    return means == means.max()


def _default(levels: np.ndarray, best: Bool[np.ndarray, " config"]) -> int:
    tied = np.flatnonzero(best)
    return int(tied[np.lexsort(levels[tied].T[::-1])[0]])


def _worth_of_best(choose: np.ndarray, score: np.ndarray) -> float:
    best = choose == choose.max(axis=0)
    return float(((score * best).sum(axis=0) / best.sum(axis=0)).mean())


def _freed(
    choose: np.ndarray, score: np.ndarray, differs: Bool[np.ndarray, "config hyperparameter"]
) -> Float[np.ndarray, " subset"]:
    """Mean score over envs with each subset of the hyperparameters tuned per env.

    Bit h of a subset's number says that hyperparameter h is free.
    """
    num_hyperparameters, num_envs = differs.shape[1], choose.shape[1]
    number = differs @ (1 << np.arange(num_hyperparameters))
    best = np.full((2**num_hyperparameters, num_envs), -np.inf)
    total, count = np.zeros_like(best), np.zeros_like(best)
    # Best among the settings that differ from the default in exactly this subset ...
    for env in range(num_envs):
        np.maximum.at(best[:, env], number, choose[:, env])
        tied = choose[:, env] == best[number, env]
        np.add.at(total[:, env], number[tied], score[tied, env])
        np.add.at(count[:, env], number[tied], 1)
    # ... and in any part of it, one hyperparameter after the other.
    subsets = np.arange(len(best))
    for h in range(num_hyperparameters):
        with_h = subsets[subsets & (1 << h) != 0]
        without = with_h ^ (1 << h)
        higher = np.maximum(best[with_h], best[without])
        for sums in (total, count):
            kept = np.where(best[with_h] == higher, sums[with_h], 0)
            sums[with_h] = kept + np.where(best[without] == higher, sums[without], 0)
        best[with_h] = higher
    return (total / count).mean(axis=1)
