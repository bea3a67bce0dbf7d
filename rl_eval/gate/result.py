"""What the gate says of a candidate, as one document that reports are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np

from rl_eval.gate.baseline import Release, Run, arrays
from rl_eval.gate.decision import OVERALL, Decision, Unit, decide, explain
from rl_eval.gate.finding import TIERS, Finding, Tier, Verdict
from rl_eval.gate.plan import Plan, kept
from rl_eval.records.run import RecordError, read_object
from rl_eval.settings import SettingsError, read
from rl_eval.stats.compare import probability_of_improvement
from rl_eval.strict import STRICT


@dataclasses.dataclass(frozen=True)
class Row:
    """One environment of a tier, or all of them as one: the candidate against the baseline.

    All of them: means over environments, each in units of what the baseline had learned there.
    Reports of version 0.1 have interquartile means there, no margins and no failed runs.
    """

    __pydantic_config__ = STRICT

    name: str
    verdict: Verdict
    candidate: float
    baseline: float
    change: float
    lower: float
    upper: float
    improves: float
    """Chance that a run of the candidate scores above one of the baseline's."""
    diverged: int
    baseline_diverged: int
    margin: float | None = None
    margin_return: float | None = None
    failed: int = 0
    baseline_failed: int = 0


@dataclasses.dataclass(frozen=True)
class Promise:
    """What 10,000 simulated gates like this one gave; see `gate.power.Power`."""

    __pydantic_config__ = STRICT

    gates: int
    passes: float
    catches: float
    catches_one: float
    misses: float
    rare: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A tier's decision by scores.

    margin, floor: see `gate.plan.Plan`; without a floor, the margin is a score everywhere.
    looks, seeds: numbers of seeds per environment at which it may decide, and at which it did.
    average: what the overall score really is, for so few runs.
    candidate, baseline: scores [environment][seed].
    """

    __pydantic_config__ = STRICT

    tier: Tier
    suite: str
    margin: float
    alpha: float
    looks: tuple[int, ...]
    seeds: tuple[int, ...]
    average: str
    rows: tuple[Row, ...]
    candidate: tuple[tuple[float, ...], ...]
    baseline: tuple[tuple[float, ...], ...]
    floor: float | None = None
    promise: Promise | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """The whole document."""

    __pydantic_config__ = STRICT

    kind: Literal["rl-eval gate result"]
    verdict: Verdict
    findings: tuple[Finding, ...]
    comparisons: tuple[Comparison, ...]
    baseline: Release
    candidate: Release
    notes: tuple[str, ...]
    recorded_by: str
    command: str
    skipped: tuple[Tier, ...] = ()
    joint: str | None = None

    @property
    def ran(self) -> tuple[Tier, ...]:
        """The tiers that found something."""
        return tuple(tier for tier in TIERS if any(f.tier == tier for f in self.findings))


def load_result(path: Path) -> Result:
    """Read a report's JSON.

    Raises:
        RecordError: it is missing, torn, or another file.
    """
    document = read_object(path)
    if document.get("kind") != "rl-eval gate result":
        raise RecordError(f"{path}: not a report of the gate")
    try:
        return read(Result, document, str(path))
    except SettingsError as error:
        raise RecordError(str(error)) from None


def compare(
    tier: Tier,
    suite: str,
    names: Sequence[str],
    candidate: Sequence[Sequence[Run]],
    baseline: Sequence[Sequence[Run]],
    plan: Plan,
    scales: Sequence[tuple[float, float]],
) -> tuple[Decision, Comparison, list[Finding]]:
    """The decision at as many seeds as there are runs in each unit, and how to tell it.

    `scales`: the returns that count as 0 and 1, of each unit.
    """
    ours, our_diverged = arrays(candidate)
    theirs, their_diverged = arrays(baseline)
    decision = decide(ours, theirs, our_diverged, their_diverged, names, plan)
    better = [
        float(probability_of_improvement(ours[:, [i]], theirs[:, [i]])) for i in range(len(names))
    ]
    better.append(float(probability_of_improvement(ours, theirs)))
    unit_scale = kept(ours, theirs, plan).scale
    means = [(float(a), float(b)) for a, b in zip(ours.mean(0), theirs.mean(0), strict=True)]
    means.append((float((ours / unit_scale).mean()), float((theirs / unit_scale).mean())))
    rows, findings = [], []
    for i, unit in enumerate(decision.units):
        found, scale = cast(Verdict, unit.verdict), scales[i] if i < len(scales) else None
        rows.append(_row(unit, found, means[i], better[i], scale))
        if not (len(names) == 1 and unit.name == OVERALL):
            why = explain(unit, scale).removeprefix(f"{unit.name}: {found}: ")
            findings.append(Finding(tier, unit.name, found, why))
    comparison = Comparison(
        tier,
        suite,
        plan.margin,
        plan.alpha,
        plan.looks,
        tuple(run.seed for run in baseline[0]),
        "mean over environments, each in units of what the baseline had learned there",
        tuple(rows),
        _rows(ours),
        _rows(theirs),
        plan.floor,
    )
    return decision, comparison, findings


def _row(
    unit: Unit,
    found: Verdict,
    means: tuple[float, float],
    better: float,
    scale: tuple[float, float] | None,
) -> Row:
    return Row(
        name=unit.name,
        verdict=found,
        candidate=means[0],
        baseline=means[1],
        change=unit.change,
        lower=unit.lower,
        upper=unit.upper,
        improves=better,
        diverged=unit.diverged,
        baseline_diverged=unit.baseline_diverged,
        margin=unit.margin,
        margin_return=None if scale is None else unit.margin * (scale[1] - scale[0]),
        failed=unit.failed,
        baseline_failed=unit.baseline_failed,
    )


def _rows(scores: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(column) for column in scores.T.tolist())
