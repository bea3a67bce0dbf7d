"""One number for many runs on several environments (Agarwal et al., NeurIPS 2021, section 4).

Scores are normalised per env. Leading axes (resamples of a bootstrap) pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_eval.stats.axes import named

Scores = Float[np.ndarray, "*batch run env"]
Value = Float[Any, "*batch"]  # a numpy scalar where there is no batch


def mean(scores: Scores) -> Value:
    """Mean over runs and envs."""
    return named(scores, "... run env").mean(axis=(-2, -1))


def median(scores: Scores) -> Value:
    """Median over envs of each env's mean over runs."""
    return np.median(named(scores, "... run env").mean(axis=-2), axis=-1)


def iqm(scores: Scores) -> Value:
    """Interquartile mean: of all runs on all envs together, the mean of the middle half.

    A quarter of the scores, rounded down, is cut from each end: below four scores this is the
    plain mean (`iqm_note`).
    """
    values = named(scores, "... run env")
    ordered = np.sort(values.reshape(*values.shape[:-2], -1), axis=-1)
    count = ordered.shape[-1]
    cut = trimmed(count)
    return ordered[..., cut : count - cut].mean(axis=-1)


def trimmed(num_scores: int) -> int:
    """How many scores the interquartile mean cuts from each end."""
    return num_scores // 4


def iqm_note(num_runs: int, num_envs: int) -> str:
    """What the interquartile mean of so many scores really is, for people who read it."""
    count = num_runs * num_envs
    cut = trimmed(count)
    if cut == 0:
        return f"plain mean of {count} scores: too few to cut a quarter from each end"
    return f"mean of the middle {count - 2 * cut} of {count} scores"


def optimality_gap(scores: Scores, target: float = 1.0) -> Value:
    """Mean shortfall from `target`; what lies above it earns nothing."""
    return target - np.minimum(named(scores, "... run env"), target).mean(axis=(-2, -1))


AGGREGATES: dict[str, Callable[[Scores], Value]] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
    "optimality_gap": optimality_gap,
}
