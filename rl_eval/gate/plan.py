"""How large a loss is accepted, and at how many seeds the gate decides."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rl_eval.gate.margins import FLOOR, MARGIN
from rl_eval.stats import compare, sequential

SHARES = (1 / 2, 3 / 4, 1.0)  # of the cap, at which the gate looks
FAILED = 0.5  # of what the baseline's middle run had learned; a run below it has failed


@dataclasses.dataclass(frozen=True)
class Plan:
    """What was agreed before any seed ran.

    Attributes:
        looks: seeds per env at which the gate decides, rising; the last one is the cap.
        margin: loss that is still accepted, as a share of the baseline's own score, which is 0 for
            random play.
        floor: least margin, as a score; where the margin is 0 it is the same on every env.
        alpha: one-sided; bounds false alarms and false passes each.
    """

    looks: tuple[int, ...]
    margin: float = MARGIN
    floor: float = FLOOR
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not self.looks or any(b <= a for a, b in zip(self.looks, self.looks[1:], strict=False)):
            raise ValueError(f"looks must be rising numbers of seeds, got {self.looks}")
        if self.looks[0] < compare.MIN_RUNS:
            raise ValueError(
                f"the first look has {self.looks[0]} seeds; it needs {compare.MIN_RUNS}"
            )
        if not (0 <= self.margin < 1 and self.floor > 0 and 0 < self.alpha < 0.5):
            raise ValueError(
                "a plan needs 0 <= margin < 1, a floor > 0 and 0 < alpha < 0.5, got "
                f"{self.margin}, {self.floor} and {self.alpha}"
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


def plan_for(cap: int, margin: float = MARGIN, alpha: float = 0.05, floor: float = FLOOR) -> Plan:
    """The plan for a cap on the seeds per env: looks at half, three quarters, all."""
    looks = sorted({max(compare.MIN_RUNS, round(share * cap)) for share in SHARES})
    return Plan(tuple(looks), margin, floor, alpha)


class Kept(NamedTuple):
    """By how much each run keeps more than the least that is accepted; [*batch, run, unit].

    A unit is an env, the last one all of them. A mean below 0 is a loss beyond the margin.

    values: what a run's pair of scores keeps; of all envs, the mean over them, each on the scale of
        what the baseline had learned there.
    failure: what a run that ends at or below the floor keeps; [*batch, unit].
    margin: accepted loss; [*batch, unit].
    scale: of each env's score in the mean over envs; [*batch, env].
    """

    values: Float[np.ndarray, "*batch run unit"]
    failure: Float[np.ndarray, "*batch unit"]
    margin: Float[np.ndarray, "*batch unit"]
    scale: Float[np.ndarray, "*batch env"]


def kept(
    candidate: Float[np.ndarray, "*batch run env"],
    baseline: Float[np.ndarray, "*batch run env"],
    plan: Plan,
) -> Kept:
    """Candidate minus what must be left of the baseline, run by run.

    Where the margin is a share of the baseline's mean, it is taken from each of its runs: so the
    test knows that this mean is an estimate too (as Fieller's, Biometrika 1940).
    """
    level = baseline.mean(axis=-2)
    relative = plan.margin * level >= plan.floor
    keep = np.where(relative, 1 - plan.margin, 1.0)
    slack = np.where(relative, 0.0, plan.floor)
    values = candidate - keep[..., None, :] * baseline + slack[..., None, :]
    lowest = np.minimum(candidate.min(axis=-2), baseline.min(axis=-2))
    failure = np.minimum(lowest, 0.0) - keep * level + slack
    margin = np.where(relative, plan.margin * level, plan.floor)
    scale = margin / plan.margin if plan.margin > 0 else np.ones_like(margin)
    return Kept(
        np.concatenate([values, _overall(values / scale[..., None, :])], axis=-1),
        np.concatenate([failure, _overall(failure / scale)], axis=-1),
        np.concatenate([margin, _overall(margin / scale)], axis=-1),
        scale,
    )


def failed(
    scores: Float[np.ndarray, "*batch run env"], baseline: Float[np.ndarray, "*batch run env"]
) -> Bool[np.ndarray, "*batch run env"]:
    """Runs that lost half of what the baseline's middle run had learned, if it learned anything."""
    middle = np.median(baseline, axis=-2, keepdims=True)
    return (scores < FAILED * middle) & (middle > 0)


def _overall(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=-1, keepdims=True)
