"""The decision of the gate, to be read aloud:

    On each env and overall, the candidate keeps more or less of the baseline's score than the
    margin asks for. Where even the upper bound lies below that, or where more runs fail than chance
    allows, there is a regression. Where the lower bound lies above it, and would if failures had
    stayed unseen by chance, it passes. Otherwise it is inconclusive, and the gate runs more seeds
    up to the cap. A regression anywhere is a regression; the release passes if all of them pass.

The margin is a share of the baseline's own score, with a floor (`gate.plan`). A run has failed if
it diverged or kept less than half of what the baseline's middle run had learned.

Two errors are kept below alpha over all envs and all looks together. False alarms: alpha is
divided evenly over the score of each env, the overall score and failures, and by Holm's procedure
what is found hands its share on to the other scores; the share of failures is divided likewise
over each env and all as one. False passes: every env must pass at alpha, which needs no correction,
since the release passes only if all of them do. At each look alpha is spent as O'Brien and
Fleming's rule allows (`stats.sequential`).

In 10,000 simulated gates each, on three envs at caps of 5 to 32 seeds with a margin of a fifth, for
normal, skewed, saturating and steady scores, seeds tied or independent: a loss of exactly the
margin on one env passed in 0 to 4.0 %, whether every run lost it or failed runs made up all, half
or a quarter of it. A loss of exactly the margin on every env was called a regression for its score
in 1 to 3.9 %, an unchanged candidate in 0 to 0.3 %. tests/gate/test_error_rates.py repeats a part.
Failures have no margin: more of them than the baseline's, by more than chance allows, is a
regression however small the mean loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rl_eval.gate.plan import Plan, failed, kept
from rl_eval.stats import compare
from rl_eval.stats.aggregate import Scores
from rl_eval.stats.unseen import cautious_lower_bound

PASS, REGRESSION, INCONCLUSIVE = "pass", "regression", "inconclusive"
OVERALL = "overall"


class Bounds(NamedTuple):
    """Change of score, candidate minus baseline; [*batch, unit]: every env, then overall.

    The overall change is the mean over envs, each in units of what the baseline had learned.
    """

    estimate: Float[np.ndarray, "*batch unit"]
    lower: Float[np.ndarray, "*batch unit"]
    upper: Float[np.ndarray, "*batch unit"]
    margin: Float[np.ndarray, "*batch unit"]


def judge(
    found: Bounds, fails_more: Bool[np.ndarray, "*batch unit"]
) -> Shaped[np.ndarray, "*batch unit"]:
    """The rule for one env, or for all of them as one."""
    return np.select(
        [(found.upper < -found.margin) | fails_more, found.lower > -found.margin],
        [REGRESSION, PASS],
        INCONCLUSIVE,
    )


def combine(units: Shaped[np.ndarray, "*batch unit"]) -> Shaped[np.ndarray, "*batch"]:
    """The rule for the release."""
    return np.select(
        [(units == REGRESSION).any(axis=-1), (units == PASS).all(axis=-1)],
        [REGRESSION, PASS],
        INCONCLUSIVE,
    )


def bounds(candidate: Scores, baseline: Scores, plan: Plan) -> Bounds:
    """One-sided bounds at this look: an upper one below -margin is a rejection of Holm's."""
    seeds, num_envs = baseline.shape[-2:]
    values, failure, margin, scale = kept(candidate, baseline, plan)
    change = (candidate - baseline).mean(axis=-2)
    error = values.std(axis=-2, ddof=1) / np.sqrt(seeds)
    units = compare.Difference(values.mean(axis=-2), error, np.full(error.shape, seeds - 1.0))
    levels = _levels(plan, seeds, num_envs, (num_envs + 1) * _share(plan, num_envs))
    found = compare.holm(compare.p_worse(units, 0.0), levels).sum(axis=-1, keepdims=True)
    reached = levels[np.maximum(num_envs - found, 0)]  # by Holm's procedure, after its last step
    return Bounds(
        np.concatenate([change, (change / scale).mean(axis=-1, keepdims=True)], axis=-1),
        cautious_lower_bound(values, failure, plan.level(seeds, plan.alpha)) - margin,
        compare.upper_bound(units, reached) - margin,
        margin,
    )


def fails_more(
    candidate: Bool[np.ndarray, "*batch run env"],
    baseline: Bool[np.ndarray, "*batch run env"],
    plan: Plan,
) -> Bool[np.ndarray, "*batch unit"]:
    """Where more runs of the candidate fail than chance allows: every env, then overall."""
    seeds, num_envs = baseline.shape[-2:]
    ours, theirs = candidate.sum(axis=-2), baseline.sum(axis=-2)
    p_values = [
        *(compare.rise(ours[..., [i]], theirs[..., [i]], seeds) for i in range(num_envs)),
        compare.rise(ours, theirs, seeds),
    ]
    levels = _levels(plan, seeds, num_envs, _share(plan, num_envs))
    return compare.holm(np.stack(p_values, axis=-1), levels)


@dataclasses.dataclass(frozen=True)
class Unit:
    """One env's part of the decision, or that of all envs together; see `Bounds`.

    failed, baseline_failed, diverged, baseline_diverged: runs; the diverged have failed too.
    """

    name: str
    verdict: str
    change: float
    lower: float
    upper: float
    margin: float
    fails_more: bool
    failed: int
    baseline_failed: int
    diverged: int
    baseline_diverged: int


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the gate says at one look.

    next_look: seeds per env to run before the next decision; None if this one is final, as at
        the cap even an inconclusive one is.
    """

    verdict: str
    units: tuple[Unit, ...]
    seeds: int
    next_look: int | None


def decide(
    candidate: Float[np.ndarray, "run env"],
    baseline: Float[np.ndarray, "run env"],
    candidate_diverged: Bool[np.ndarray, "run env"],
    baseline_diverged: Bool[np.ndarray, "run env"],
    envs: Sequence[str],
    plan: Plan,
) -> Decision:
    """The decision after as many seeds per env as one of the plan's looks has.

    Args:
        candidate, baseline: normalised scores of the same seeds, diverged runs at their floor.

    Raises:
        ValueError: shapes that differ or do not fit `envs`, or a number of seeds without a look.
    """
    arrays = candidate, baseline, candidate_diverged, baseline_diverged
    if len({a.shape for a in arrays}) > 1 or baseline.shape[1:] != (len(envs),):
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(
            "scores and divergence of candidate and baseline must all be [run, env] with "
            f"{len(envs)} envs ({', '.join(envs)}), got {shapes}"
        )
    found = bounds(candidate, baseline, plan)
    ours = failed(candidate, baseline) | candidate_diverged
    theirs = failed(baseline, baseline) | baseline_diverged
    rises = fails_more(ours, theirs, plan)
    verdicts = judge(found, rises)
    counts = [
        np.append(d.sum(axis=0), d.sum())
        for d in (ours, theirs, candidate_diverged, baseline_diverged)
    ]
    columns = [column.tolist() for column in (verdicts, *found, rises, *counts)]
    units = tuple(map(Unit, [*envs, OVERALL], *columns))
    verdict, seeds = str(combine(verdicts)), len(baseline)
    later = [look for look in plan.looks if look > seeds and verdict == INCONCLUSIVE]
    return Decision(verdict, units, seeds, later[0] if later else None)


def explain(unit: Unit, scale: tuple[float, float] | None = None) -> str:
    """Why, in one line.

    Args:
        scale: the returns that count as 0 and 1, to tell returns beside scores.
    """
    change = f"{unit.name}: {unit.verdict}: score changed by {_both(unit.change, scale)}"
    least = _both(-unit.margin, scale)
    if unit.fails_more:
        runs = f"{unit.failed} runs failed, {unit.baseline_failed} of the baseline's"
        also = f", {unit.diverged} of them diverged" if unit.diverged else ""
        return f"{change}; {runs}{also}: more than chance allows"
    if unit.verdict == REGRESSION:
        return f"{change}; even the upper bound {unit.upper:+.3f} is below the margin {least}"
    if unit.verdict == PASS:
        return f"{change}; the lower bound {unit.lower:+.3f} is above the margin {least}"
    span = f"{unit.lower:+.3f} to {unit.upper:+.3f}"
    return f"{change}; it may be {span}, which holds the margin {least}: too few seeds to say"


def _both(change: float, scale: tuple[float, float] | None) -> str:
    if scale is None:
        return f"{change:+.3f}"
    return f"{change:+.3f} ({change * (scale[1] - scale[0]):+.3g} in return)"


def _levels(plan: Plan, seeds: int, num_envs: int, alpha: float) -> Float[np.ndarray, " left"]:
    """Holm's levels at this look for tests of each env and overall, by how many are left."""
    return np.array([plan.level(seeds, alpha / left) for left in range(1, num_envs + 2)])


def _share(plan: Plan, num_envs: int) -> float:
    """Part of alpha that each env's score, the overall score and failures begin with."""
    return plan.alpha / (num_envs + 2)
