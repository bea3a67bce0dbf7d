"""The decision of the gate, to be read aloud:

    On each env and overall, the candidate loses or gains score against the baseline of the same
    seeds. Where even the upper bound of that change lies below -margin, or where more runs diverge
    than chance allows, there is a regression. Where the lower bound lies above -margin, it passes.
    Otherwise it is inconclusive, and the gate runs more seeds up to the cap.
    A regression anywhere is a regression; the release passes if it passes everywhere.

Two errors are kept below alpha over all envs and all looks together. False alarms: alpha is
divided evenly over the score of each env, the overall score and divergence, and by Holm's procedure
what is found hands its share on to the other scores; the share of divergence is divided likewise
over each env and all as one. False passes: every env must pass at alpha, which needs no correction,
since the release passes only if all of them do. At each look alpha is spent as O'Brien and
Fleming's rule allows (`stats.sequential`).

The overall change is one of interquartile means. An env's, and so that of a lone env, is one of
means: the interquartile mean of the few runs of one env would cut away a single failing seed and
most degrees of freedom.

In 4000 simulated gates on four envs with up to five looks, losses of exactly the margin were
called a regression in 0.3 to 3.8 % and passed in 0 to 4.1 %, for normal, lognormal and occasionally
collapsing scores. The limit: a release that makes one run in five collapse on one otherwise steady
env, by a loss of the margin on average, passed in 13 to 16 % at 5 to 20 seeds. Failures that rare
show in more seeds only; `power` says how rare.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rl_eval.stats import compare, sequential
from rl_eval.stats.aggregate import Scores

PASS, REGRESSION, INCONCLUSIVE = "pass", "regression", "inconclusive"
OVERALL = "overall"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What was agreed before any seed ran.

    Attributes:
        looks: seeds per env at which the gate decides, rising; the last one is the cap.
        margin: loss of normalised score that is still accepted.
        alpha: one-sided; bounds false alarms and false passes each.
    """

    looks: tuple[int, ...]
    margin: float = 0.1
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not self.looks or any(b <= a for a, b in zip(self.looks, self.looks[1:], strict=False)):
            raise ValueError(f"looks must be rising numbers of seeds, got {self.looks}")
        if self.looks[0] < compare.MIN_RUNS:
            raise ValueError(
                f"the first look has {self.looks[0]} seeds; it needs {compare.MIN_RUNS}"
            )
        if not (self.margin > 0 and 0 < self.alpha < 0.5):
            raise ValueError(
                f"a plan needs margin > 0 and 0 < alpha < 0.5, got {self.margin} and {self.alpha}"
            )

    def level(self, seeds: int, alpha: float) -> float:
        """One-sided level of a test at this look that may err with `alpha` over all looks.

        Raises:
            ValueError: the plan has no look at so many seeds.
        """
        if seeds not in self.looks:
            looks = ", ".join(map(str, self.looks))
            raise ValueError(f"{seeds} seeds per env, but the plan looks at {looks}: no others")
        fractions = tuple(look / self.looks[-1] for look in self.looks)
        return float(sequential.nominal_levels(fractions, alpha)[self.looks.index(seeds)])


class Bounds(NamedTuple):
    """Change of score, candidate minus baseline; [*batch, unit]: every env, then overall."""

    estimate: Float[np.ndarray, "*batch unit"]
    lower: Float[np.ndarray, "*batch unit"]
    upper: Float[np.ndarray, "*batch unit"]


def judge(
    lower: Float[np.ndarray, "*batch unit"],
    upper: Float[np.ndarray, "*batch unit"],
    diverges_more: Bool[np.ndarray, "*batch unit"],
    margin: float,
) -> Shaped[np.ndarray, "*batch unit"]:
    """The rule for one env, or for all of them as one."""
    return np.select(
        [(upper < -margin) | diverges_more, lower > -margin], [REGRESSION, PASS], INCONCLUSIVE
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
    per_env = compare.mean_difference(candidate, baseline)
    if num_envs == 1:
        overall = compare.Difference(*(leaf[..., 0] for leaf in per_env))
    else:
        overall = compare.iqm_difference(candidate, baseline)
    units = compare.Difference(
        *(np.concatenate([e, o[..., None]], -1) for e, o in zip(per_env, overall, strict=True))
    )
    levels = _levels(plan, seeds, num_envs, (num_envs + 1) * _share(plan, num_envs))
    found = compare.holm(compare.p_worse(units, plan.margin), levels).sum(axis=-1, keepdims=True)
    reached = levels[np.maximum(num_envs - found, 0)]  # by Holm's procedure, after its last step
    return Bounds(
        units.estimate,
        compare.lower_bound(units, plan.level(seeds, plan.alpha)),
        compare.upper_bound(units, reached),
    )


def diverges_more(
    candidate: Bool[np.ndarray, "run env"], baseline: Bool[np.ndarray, "run env"], plan: Plan
) -> Bool[np.ndarray, " unit"]:
    """Where more runs of the candidate diverge than chance allows: every env, then overall."""
    seeds, num_envs = baseline.shape
    units = [*([env] for env in range(num_envs)), list(range(num_envs))]
    p_values = [compare.divergence_rise(candidate[:, u], baseline[:, u]) for u in units]
    return compare.holm(np.array(p_values), _levels(plan, seeds, num_envs, _share(plan, num_envs)))


@dataclasses.dataclass(frozen=True)
class Unit:
    """One env's part of the decision, or that of all envs together; see `Bounds`.

    diverged, baseline_diverged: runs.
    """

    name: str
    verdict: str
    change: float
    lower: float
    upper: float
    diverges_more: bool
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
    rises = diverges_more(candidate_diverged, baseline_diverged, plan)
    verdicts = judge(found.lower, found.upper, rises, plan.margin)
    counts = [np.append(d.sum(axis=0), d.sum()) for d in arrays[2:]]
    columns = [column.tolist() for column in (verdicts, *found, rises, *counts)]
    units = tuple(map(Unit, [*envs, OVERALL], *columns))
    verdict, seeds = str(combine(verdicts)), len(baseline)
    later = [look for look in plan.looks if look > seeds and verdict == INCONCLUSIVE]
    return Decision(verdict, units, seeds, later[0] if later else None)


def explain(unit: Unit, plan: Plan) -> str:
    """Why, in one line."""
    change = f"{unit.name}: {unit.verdict}: score changed by {unit.change:+.3f}"
    if unit.diverges_more:
        runs = f"{unit.diverged} runs diverged, {unit.baseline_diverged} of the baseline's"
        return f"{change}; {runs}: more than chance allows"
    if unit.verdict == REGRESSION:
        return f"{change}; even the upper bound {unit.upper:+.3f} is below -{plan.margin:g}"
    if unit.verdict == PASS:
        return f"{change}; the lower bound {unit.lower:+.3f} is above -{plan.margin:g}"
    span = f"{unit.lower:+.3f} to {unit.upper:+.3f}"
    return f"{change}; it may be {span}, which holds -{plan.margin:g}: too few seeds to say"


def _levels(plan: Plan, seeds: int, num_envs: int, alpha: float) -> Float[np.ndarray, " left"]:
    """Holm's levels at this look for tests of each env and overall, by how many are left."""
    return np.array([plan.level(seeds, alpha / left) for left in range(1, num_envs + 2)])


def _share(plan: Plan, num_envs: int) -> float:
    """Part of alpha that each env's score, the overall score and divergence begin with."""
    return plan.alpha / (num_envs + 2)
