"""The shape of a hyperparameter landscape: how wide is what is good, and how soon is it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import gammaln

from rl_eval.stats.axes import named

SHARES = (0.95, 0.9, 0.5)


def basin_width(
    scores: Float[np.ndarray, "*batch trial"],
    shares: Sequence[float] = SHARES,
    floor: float = 0.0,
) -> Float[np.ndarray, "*batch share"]:
    """Share of trials that reach each share of the way from `floor` to the best trial.

    `floor` is the score of knowing nothing (0 on normalised scores); zeros if no trial beats it.
    The best of noisy trials looks better than it is and the basin narrower; for its seed noise,
    `bootstrap.interval(lambda runs: basin_width(runs.mean(axis=-2)), returns, rng=rng)` takes
    returns [run, trial], trials in place of envs.
    """
    values = named(scores, "... trial") - floor
    best = values.max(axis=-1, keepdims=True)
    return np.stack([((values >= s * best) & (best > 0)).mean(axis=-1) for s in shares], axis=-1)


def share_diverged(diverged: Bool[np.ndarray, "trial run"]) -> float:
    """Share of all runs that diverged."""
    return float(diverged.mean())


def expected_best_of_k(
    choose: Float[np.ndarray, " trial"], score: Float[np.ndarray, " trial"] | None = None
) -> Float[np.ndarray, " trial"]:
    """Expected score of the best of k trials drawn at random, for k = 1 ... all, exactly.

    The mean over all subsets of size k, hence unbiased for a random search of k trials (the mean
    over draws with replacement is biased down). The best is the one with the highest `choose`;
    its worth is read from `score`, measured by other seeds: otherwise luck counts as skill.
    """
    values = named(choose, "trial", "choose")
    worth = values if score is None else named(score, "trial", "score")
    count = len(values)
    rank = np.arange(1, count + 1)
    k = rank[:, None]
    # The trial of rank r wins in C(r - 1, k - 1) of the C(count, k) subsets.
    with np.errstate(invalid="ignore"):
        chance = np.exp(_log_choose(rank - 1, k - 1) - _log_choose(count, k))
    return np.where(rank >= k, chance, 0.0) @ worth[np.argsort(values, kind="stable")]


class Marginal(NamedTuple):
    """Scores against one hyperparameter, whatever the others were; leaves [value].

    value: as given, or the middle of a bin (geometric on a log axis).
    """

    value: np.ndarray
    median: Float[np.ndarray, " value"]
    low: Float[np.ndarray, " value"]
    high: Float[np.ndarray, " value"]
    runs: Int[np.ndarray, " value"]


def marginal(
    values: Sequence[Any] | np.ndarray,
    scores: Float[np.ndarray, "trial run"],
    log: bool = False,
    bins: int = 10,
    level: float = 0.5,
) -> Marginal:
    """Median and central band over runs at each value of one hyperparameter.

    Numbers with more than `bins` different values are cut into `bins` bins of equal width (in the
    logarithm with `log`), of which empty ones are left out. With the learning rate alone varied
    this is its response curve and the band is seed noise; otherwise the band holds the other
    hyperparameters too.

    Args:
        level: share of the runs inside the band.
    """
    returns = named(scores, "trial run")
    where, places = _binned(np.asarray(values), log, bins)
    groups = [returns[where == i].ravel() for i in range(len(places))]
    ends = [(1 - level) / 2, 0.5, (1 + level) / 2]
    low, median, high = np.stack([np.quantile(group, ends) for group in groups], axis=1)
    return Marginal(places, median, low, high, np.array([group.size for group in groups]))


def _binned(values: np.ndarray, log: bool, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Group of each trial, and the value that stands for each group."""
    unique, index = np.unique(values, return_inverse=True)
    if len(unique) <= bins or not np.issubdtype(values.dtype, np.number):
        return index, unique
    scaled = np.log(values) if log else values.astype(np.float64)
    edges = np.linspace(scaled.min(), scaled.max(), bins + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    cell = np.clip(np.searchsorted(edges, scaled, side="right") - 1, 0, bins - 1)
    filled, index = np.unique(cell, return_inverse=True)
    return index, np.exp(middles[filled]) if log else middles[filled]


def _log_choose(n: Any, k: Any) -> np.ndarray:
    """Logarithm of the binomial coefficient; anything where k > n."""
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1)
