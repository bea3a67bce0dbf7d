"""A lower bound of a mean that allows for failures that did not happen to be drawn.

The t-test takes the spread of the runs at hand for the truth. If one run in five fails and no run
of ten did, it sees nothing: a mean that lies below the bound passes one time in nine. Here some
imaginary runs that failed are added to the sample, as few as the exact bound of Clopper and Pearson
(Biometrika 1934) asks for where the runs at hand are all alike.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import stdtrit


def unseen_rate(runs: int, level: float) -> float:
    """The share of failures of which `runs` runs show none with probability `level`."""
    return float(1 - level ** (1 / runs))


@functools.lru_cache(maxsize=4096)
def imaginary_failures(runs: int, level: float) -> float:
    """How many failures to add, not a whole number: the t bound of a share of failures of which
    none was seen is then `unseen_rate`.
    """
    limit, t = unseen_rate(runs, level), -float(stdtrit(runs - 1, level))

    def excess(added: float) -> float:
        share = added / (runs + added)
        return share + t * np.sqrt(share * (1 - share) / (runs + added)) - limit

    most = 10.0 * runs
    return float(brentq(excess, 0.0, most)) if excess(most) > 0 else most


def cautious_lower_bound(
    values: Float[np.ndarray, "*batch run unit"],
    failure: Float[np.ndarray, "*batch unit"],
    level: float,
) -> Float[np.ndarray, "*batch unit"]:
    """One-sided bound that the true mean falls below with probability `level`.

    Args:
        failure: what a run that fails is worth; above the mean it counts as the mean.
    """
    runs = values.shape[-2]
    added = imaginary_failures(runs, level)
    share = added / (runs + added)
    mean = values.mean(axis=-2)
    gap = np.maximum(mean - failure, 0.0)
    variance = (1 - share) * values.var(axis=-2, ddof=1) + share * (1 - share) * gap**2
    error = np.sqrt(variance / (runs + added))
    return mean - share * gap + stdtrit(runs - 1, level) * error
