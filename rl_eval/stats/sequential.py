"""Looking at the data more than once: alpha spending after Lan and DeMets (Biometrika, 1983)."""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import Float
from numpy.polynomial.legendre import leggauss
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

NODES = 256  # of the quadrature; agrees with published tables to all their digits
LOWEST, HIGHEST = -9.0, 38.0  # standard deviations; beyond the second, tails underflow


def obrien_fleming_spending(fraction: float, alpha: float) -> float:
    """Share of a one-sided `alpha` that may be spent by this fraction of the information.

    The spending function of O'Brien and Fleming's type: next to nothing early, so that the last
    look tests at almost the full level.
    """
    return 2 * float(ndtr(ndtri(alpha / 2) / math.sqrt(fraction)))


@functools.lru_cache(maxsize=4096)
def boundaries(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """One-sided critical z-value of each look, by the recursion of Armitage et al. (1969).

    Args:
        fractions: share of the final information at each look, rising, the last one 1 if the
            whole of alpha is to be spent.
        alpha: one-sided probability of crossing any boundary under no effect.

    Raises:
        ValueError: fractions that do not rise within (0, 1], or alpha outside (0, 0.5).
    """
    times = np.array(fractions, dtype=np.float64)
    if not (len(times) and times[0] > 0 and times[-1] <= 1 and np.all(np.diff(times) > 0)):
        raise ValueError(f"looks must be at rising fractions within (0, 1], got {fractions}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"a one-sided alpha must lie between 0 and 0.5, got {alpha}")
    spent = [obrien_fleming_spending(t, alpha) for t in times]
    # Under no effect the sum of evidence is Brownian motion: `density` is its weight at `points`,
    # without the paths that have crossed.
    points, density, before, found = np.zeros(1), np.ones(1), 0.0, []
    for time, allowed in zip(times, np.diff(spent, prepend=0.0), strict=True):
        step, deviation = math.sqrt(time - before), math.sqrt(time)
        bound = _crossing(points, density, step, allowed, deviation)
        points, density = _advance(points, density, step, LOWEST * deviation, bound)
        before = time
        found.append(bound / deviation)
    return tuple(found)


def nominal_levels(fractions: tuple[float, ...], alpha: float) -> Float[np.ndarray, " look"]:
    """One-sided p-value at or below which each look may reject."""
    return ndtr(-np.array(boundaries(fractions, alpha)))


def _crossing(
    points: np.ndarray, density: np.ndarray, step: float, allowed: float, deviation: float
) -> float:
    """The bound above which the next step ends with probability `allowed`."""

    def excess(bound: float) -> float:
        return float(density @ ndtr((points - bound) / step)) - allowed

    return float(brentq(excess, -deviation, HIGHEST * deviation))


@functools.cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    return leggauss(NODES)


def _advance(
    points: np.ndarray, density: np.ndarray, step: float, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the process after one more step, at quadrature points between low and high."""
    nodes, weights = _quadrature()
    half = (high - low) / 2
    onto = low + half * (nodes + 1)
    gaps = (onto[:, None] - points) / step
    kernel = np.exp(-0.5 * gaps**2) / (step * math.sqrt(2 * math.pi))
    return onto, half * weights * (kernel @ density)
