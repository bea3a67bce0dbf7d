"""The shape of a hyperparameter landscape: how wide is what is good, and how soon is it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from rl_eval.stats.axes import named
from rl_eval.stats.values import codes, numbers, snapped

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


def expected_best_of_k(
    choose: Float[np.ndarray, " trial"],
    score: Float[np.ndarray, " trial"] | None = None,
    k: Int[np.ndarray, " size"] | None = None,
) -> Float[np.ndarray, " size"]:
    """Expected score of the best of k trials drawn at random, exactly; k = 1 ... all, or as given.

    The mean over all subsets of size k, hence unbiased for a random search of k trials (the mean
    over draws with replacement is biased down). The best is the one with the highest `choose`, of
    several any with equal chance; its worth is read from `score`, measured by other seeds:
    otherwise luck counts as skill. The order of the trials does not matter.
    """
    values = snapped(named(choose, "trial", "choose"))
    worth = values if score is None else named(score, "trial", "score")
    count = len(values)
    sizes = np.arange(1, count + 1) if k is None else np.asarray(k)
    _, group, trials = np.unique(values, return_inverse=True, return_counts=True)
    mean = np.bincount(group, weights=worth) / trials
    # The best of k lies among the lowest `up_to` trials in C(up_to, k) of the C(count, k) subsets.
    up_to = np.concatenate([[0], np.cumsum(trials)])
    result = np.empty(len(sizes))
    for i, size in enumerate(sizes):
        within = np.exp(_log_choose(up_to, size) - _log_choose(count, size))
        result[i] = np.diff(np.where(up_to >= size, within, 0.0)) @ mean
    return result


def sizes_of_k(count: int, most: int = 96) -> Int[np.ndarray, " size"]:
    """1 ... `count`, or about `most` of them with even ratios."""
    return np.unique(np.geomspace(1, count, most).round().astype(int))


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
    logarithm with `log`, where those that have none keep a place each), of which empty ones are
    left out. With the learning rate alone varied this is its response curve and the band is seed
    noise; otherwise the band holds the other hyperparameters too.

    Args:
        level: share of the runs inside the band.
    """
    returns = named(scores, "trial run")
    where, places = _binned(values, log, bins)
    groups = [returns[where == i].ravel() for i in range(len(places))]
    ends = [(1 - level) / 2, 0.5, (1 + level) / 2]
    low, median, high = np.stack([np.quantile(group, ends) for group in groups], axis=1)
    return Marginal(places, median, low, high, np.array([group.size for group in groups]))


def _binned(
    values: Sequence[Any] | np.ndarray, log: bool, bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Group of each trial, and the value that stands for each group."""
    index, unique = codes(values)
    found = numbers(values)
    if found is None or len(unique) <= bins:
        return index, _array(unique)
    off = found <= 0 if log else np.zeros(len(found), bool)
    scaled = np.log(np.where(off, 1.0, found)) if log else found
    inside = scaled[~off]
    low, high = (inside.min(), inside.max()) if inside.size else (0.0, 1.0)
    edges = low * (1 - np.linspace(0, 1, bins + 1)) + high * np.linspace(0, 1, bins + 1)
    middles = edges[:-1] / 2 + edges[1:] / 2
    cell = np.clip(np.searchsorted(edges, scaled, side="right") - 1, 0, bins - 1)
    alone = sorted(set(found[off].tolist()))
    cell = np.where(off, np.searchsorted(alone, found), cell + len(alone))
    places = np.concatenate([alone, np.exp(middles) if log else middles])
    filled, index = np.unique(cell, return_inverse=True)
    return index, places[filled]


def _array(values: Sequence[Any]) -> np.ndarray:
    """As numbers where all are, otherwise as they are: numpy would make text of 1 beside "1"."""
    found = numbers(values)
    if found is not None:
        return found
    result = np.empty(len(values), object)
    result[:] = values
    return result


def _log_choose(n: Any, k: Any) -> Any:
    """Logarithm of the binomial coefficient; anything where k > n."""
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1)
