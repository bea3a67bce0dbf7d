"""What a comparison's scores say: point estimates with their bootstrap intervals."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rl_eval.report.comparison.scores import Comparison, Key, normalisable, normalised
from rl_eval.stats.aggregate import AGGREGATES
from rl_eval.stats.bootstrap import Interval, interval
from rl_eval.stats.compare import (
    MIN_RUNS,
    lower_bound,
    mean_difference,
    probability_of_improvement,
    upper_bound,
)
from rl_eval.stats.profiles import profile_band

LEVEL = 0.95
THRESHOLDS = 101


class Aggregates(NamedTuple):
    """Of scores normalised in `envs`. By optimizer: the seeds used, and each aggregate."""

    envs: tuple[str, ...]
    seeds: dict[str, list[int]]
    values: dict[str, dict[str, Interval]]
    thresholds: Float[np.ndarray, " threshold"]
    profiles: dict[str, Interval]


class Final(NamedTuple):
    """The scores of an optimizer in an environment.

    `gain`: mean difference to the baseline on the same seeds, with its t interval; None where
    fewer than MIN_RUNS seeds have both.
    """

    scores: Float[np.ndarray, " run"]
    mean: Interval | None
    gain: Interval | None


def aggregates(comparison: Comparison) -> Aggregates:
    """Optimizers without a seed that has a score in every environment are left out."""
    envs = normalisable(comparison.envs)
    seeds = {name: comparison.scored_seeds(name, envs) for name in comparison.optimizers}
    seeds = {name: used for name, used in seeds.items() if used}
    arrays = {name: scores(comparison, name, envs, used) for name, used in seeds.items()}
    values = {
        name: {
            kind: interval(statistic, array, rng=stream(kind, name), level=LEVEL)
            for kind, statistic in AGGREGATES.items()
        }
        for name, array in arrays.items()
    }
    lowest = min((float(array.min()) for array in arrays.values()), default=0.0)
    highest = max((float(array.max()) for array in arrays.values()), default=1.0)
    thresholds = np.linspace(min(0.0, lowest), max(1.0, highest), THRESHOLDS)
    profiles = {
        name: profile_band(array, thresholds, stream("profile", name), LEVEL)
        for name, array in arrays.items()
    }
    return Aggregates(envs, seeds, values, thresholds, profiles)


def scores(
    comparison: Comparison, optimizer: str, envs: Sequence[str], seeds: Sequence[int]
) -> Float[np.ndarray, "run env"]:
    """Normalised scores."""
    raw = comparison.scores(optimizer, envs, seeds)
    return np.stack([normalised(env, raw[:, i]) for i, env in enumerate(envs)], axis=1)


def improvements(comparison: Comparison) -> dict[str, Interval]:
    """By optimizer: the probability that a run of it scores above one of the baseline.

    Of raw scores, whose order within an environment is all that counts, so in every environment.
    """
    envs = comparison.envs
    arrays = {}
    for name in comparison.optimizers:
        if seeds := comparison.scored_seeds(name, envs):
            arrays[name] = comparison.scores(name, envs, seeds)
    baseline = arrays.pop(comparison.record.baseline, None)
    if baseline is None:
        return {}
    return {
        name: interval(
            probability_of_improvement, array, baseline, rng=stream("above", name), level=LEVEL
        )
        for name, array in arrays.items()
    }


def finals(comparison: Comparison) -> dict[Key, Final]:
    """Final scores in every environment, each seed that has one."""
    found = {}
    for env in comparison.envs:
        base = comparison.scored_seeds(comparison.record.baseline, [env])
        for name in comparison.optimizers:
            seeds = comparison.scored_seeds(name, [env])
            array = comparison.scores(name, [env], seeds)
            shared = [seed for seed in seeds if seed in base]
            gain = None
            if name != comparison.record.baseline and len(shared) >= MIN_RUNS:
                gain = _gain(comparison, env, name, shared)
            mean = None
            if seeds:
                mean = mean_of(array, stream("final", env, name))[0]
            found[env, name] = Final(array[:, 0], mean, gain)
    return found


def mean_of(array: Float[np.ndarray, "run point"], rng: np.random.Generator) -> list[Interval]:
    """The mean over runs at each point, with its bootstrap interval."""
    band = interval(lambda s: s.mean(axis=-2), array, rng=rng, level=LEVEL)
    return [Interval(*map(float, part)) for part in zip(*band, strict=True)]


def _gain(comparison: Comparison, env: str, name: str, seeds: Sequence[int]) -> Interval:
    pair = (comparison.scores(n, [env], seeds) for n in (name, comparison.record.baseline))
    difference = mean_difference(*pair)
    tail = (1 + LEVEL) / 2
    low, high = upper_bound(difference, tail), lower_bound(difference, tail)
    return Interval(float(difference.estimate[0]), float(low[0]), float(high[0]))


def stream(*what: str) -> np.random.Generator:
    """A stream of its own for every estimate: none depends on which others are drawn."""
    return np.random.default_rng(zlib.crc32("\0".join(what).encode()))


def plain(found: Interval) -> list[Any]:
    """[estimate, low, high] as JSON has it."""
    return [np.asarray(part).tolist() for part in found]
