"""Performance profiles: the share of runs above each score (Agarwal et al., 2021, section 4.2)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from rl_eval.stats.aggregate import Scores
from rl_eval.stats.axes import named
from rl_eval.stats.bootstrap import Interval, interval


def profile(
    scores: Scores, thresholds: Float[np.ndarray, " threshold"]
) -> Float[np.ndarray, "*batch threshold"]:
    """Share of runs whose score lies above each threshold, every env weighing the same.

    This is the run-score distribution. Where one curve lies above another everywhere, its scores
    are stochastically larger.
    """
    values = named(scores, "... run env")
    return np.stack([(values > t).mean(axis=(-2, -1)) for t in thresholds], axis=-1)


def profile_band(
    scores: Float[np.ndarray, "run env"],
    thresholds: Float[np.ndarray, " threshold"],
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The profile with its pointwise band, each part [threshold]."""
    return interval(
        lambda s: profile(s, thresholds), scores, rng=rng, level=level, resamples=resamples
    )
