"""Stratified bootstrap: runs are drawn anew within each env, never across envs.

Percentile intervals, as rliable's, for figures and tables. With few runs they are too narrow:
nominal 95 % intervals of the IQM of four envs held the truth in 81, 88, 92 and 93 % of 1500
simulated sets of 3, 5, 10 and 20 normal runs, of the mean of one env in 74, 83, 89 and 93 %.
Decisions about few runs are therefore left to `compare`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rl_eval.stats.axes import named

CHUNK = 2**22  # scores drawn at once: 32 MiB

Statistic = Callable[..., Any]  # arrays [resample, run, env] -> [resample, ...]


class Interval(NamedTuple):
    """A point estimate with the ends of its interval; each a number or an array."""

    estimate: Any
    low: Any
    high: Any


def interval(
    statistic: Statistic,
    *samples: Float[np.ndarray, "_ env"],
    rng: np.random.Generator,
    paired: bool = False,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Percentile interval of `statistic(*samples)`, where each sample is [run, env].

    Args:
        statistic: called with the samples, and with stacks of resamples [resample, run, env]. It
            may return an array per resample (a curve): the band is then pointwise.
        paired: the same runs are drawn from all samples, so that entries at one [run, env] stay
            together; otherwise each sample is drawn on its own.
        level: share of the resamples between the ends.

    Raises:
        ValueError: see `axes.named`; or paired samples of different shapes.
    """
    arrays = [named(sample, "run env", f"sample {i}") for i, sample in enumerate(samples)]
    if paired and len({a.shape for a in arrays}) > 1:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(f"paired samples [run, env] must have one shape, got {shapes}")
    drawn = _resampled(arrays, resamples, rng, paired)
    values = np.concatenate([np.asarray(statistic(*stack)) for stack in drawn])
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(values, ends, axis=0)
    return Interval(statistic(*arrays), low, high)


def _resampled(
    arrays: list[np.ndarray], resamples: int, rng: np.random.Generator, paired: bool
) -> Iterator[list[np.ndarray]]:
    """Stacks of resamples, each small enough for memory."""
    chunk = max(1, CHUNK // sum(a.size for a in arrays))
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        if paired:
            picks = [rng.integers(len(arrays[0]), size=(count, *arrays[0].shape))] * len(arrays)
        else:
            picks = [rng.integers(len(a), size=(count, *a.shape)) for a in arrays]
        yield [a[pick, np.arange(a.shape[1])] for a, pick in zip(arrays, picks, strict=True)]
