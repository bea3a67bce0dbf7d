"""How many hyperparameters need tuning per env, where the settings that would tell were not run.

On a random design no two settings agree in all hyperparameters but one. So the score of each env is
modelled by a Gaussian process, of which the length scale of each hyperparameter is fitted and the
noise is known from the seeds, and the model is asked for the settings that were not run.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from rl_eval.stats.values import Column, codes

MOST = 100  # settings a model is fitted to: its cost grows with their cube
FEWEST = 12  # settings without which there is no model
MOST_SUBSETS = 200  # of one size that are all looked at
STEPS = 25  # of the search for length scales
JITTER = 1e-4  # of the variance, so that equal settings may have different scores


class Estimate(NamedTuple):
    """`dimensionality` by the models; `explained`: share of the variance of settings left out.

    The latter is of the worst env, by leaving one setting out after the other.
    """

    dimensionality: int
    explained: float


def estimate(
    scores: Float[np.ndarray, "config run env"],
    columns: Sequence[Column],
    default: int,
    rng: np.random.Generator,
    share: float = 0.95,
) -> Estimate | None:
    """The least number of hyperparameters to tune per env, the others as in setting `default`.

    None for too few settings.

    Raises:
        ImportError: scikit-learn is missing.
    """
    means = scores.mean(axis=1)
    points, owner = _features(columns)
    kept = _some(means, default, rng)
    if len(kept) < FEWEST:
        return None
    points, means = points[kept], means[kept]
    noise = scores.var(axis=1, ddof=1).mean(axis=0) / scores.shape[1]
    models = [_fitted(points, means[:, env], noise[env]) for env in range(means.shape[1])]
    home = points[np.flatnonzero(kept == default)[0]]

    def reach(free: Sequence[int]) -> float:
        moved = np.where(np.isin(owner, free), points, home)
        return float(np.mean([model.best(moved) for model in models]))

    top = reach(range(len(columns)))
    size = _least(len(columns), reach, min(share * top, top))
    return Estimate(size, min(model.explained for model in models))


def _features(columns: Sequence[Column]) -> tuple[Float[np.ndarray, "config feature"], np.ndarray]:
    """Each hyperparameter between 0 and 1, a choice as a column a value; and whose each is."""
    parts = []
    for column in columns:
        places = column.scaled()
        if places is None:
            index, values = codes(column.values)
            parts.append((index[:, None] == np.arange(len(values))).astype(np.float64))
        else:
            parts.append(places[:, None])
    owner = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    return np.concatenate(parts, axis=1), owner


def _some(means: Float[np.ndarray, "config env"], default: int, rng: Any) -> np.ndarray:
    """Settings for the model: the best quarter of what it may have for each env, and others."""
    count, envs = means.shape
    if count <= MOST:
        return np.arange(count)
    best = np.argsort(-means, axis=0, kind="stable")[: MOST // (4 * envs)].ravel()
    first = dict.fromkeys([default, *best.tolist(), *rng.permutation(count).tolist()])
    return np.sort(list(first)[:MOST])


class _Model(NamedTuple):
    process: Any
    explained: float
    middle: float
    scale: float

    def best(self, points: np.ndarray) -> float:
        """The highest score at any of the points."""
        return self.middle + self.scale * float(self.process.predict(points).max())


def _fitted(points: np.ndarray, scores: Float[np.ndarray, " config"], noise: float) -> _Model:
    """A Gaussian process of one env's scores, whose means have the variance `noise`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    middle, scale = float(scores.mean()), float(scores.std()) or 1.0
    lengths = np.full(points.shape[1], 0.5)
    kernel = ConstantKernel(1.0, (0.01, 100.0)) * Matern(lengths, (0.03, 100.0), nu=2.5)
    alpha = noise / scale**2 + JITTER
    process = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=_search)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound: irrelevant
        process.fit(points, (scores - middle) / scale)
    inverse = np.linalg.inv(process.L_)
    left_out = process.alpha_ / (inverse**2).sum(axis=0)
    explained = 1 - float(np.mean(left_out**2)) if scores.std() > 0 else 1.0
    return _Model(process, explained, middle, scale)


def _search(loss: Any, start: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, float]:
    found = minimize(loss, start, jac=True, bounds=bounds, options={"maxiter": STEPS})
    return found.x, found.fun


def _least(count: int, reach: Any, target: float) -> int:
    """Size of the smallest subset of `count` hyperparameters that reaches `target`."""
    for size in range(count):
        if math.comb(count, size) > MOST_SUBSETS:
            return _by_elimination(count, reach, target)
        if any(reach(free) >= target for free in itertools.combinations(range(count), size)):
            return size
    return count


def _by_elimination(count: int, reach: Any, target: float) -> int:
    """As `_least`, or more: takes one hyperparameter out at a time, each that costs least."""
    free = list(range(count))
    while free:
        without = [[h for h in free if h != out] for out in free]
        reached = [reach(rest) for rest in without]
        if max(reached) < target:
            break
        free = without[int(np.argmax(reached))]
    return len(free)
