"""What the gate says of a candidate, as one document that reports are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np

from rl_eval.gate.baseline import Release, Run, arrays
from rl_eval.gate.decision import OVERALL, Decision, Plan, decide, explain
from rl_eval.gate.finding import Finding, Tier, Verdict
from rl_eval.records.run import RecordError, read_object
from rl_eval.settings import SettingsError, read
from rl_eval.stats.aggregate import iqm, iqm_note
from rl_eval.stats.compare import probability_of_improvement
from rl_eval.strict import STRICT


@dataclasses.dataclass(frozen=True)
class Row:
    """One environment of a tier, or all of them as one: the candidate against the baseline."""

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


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A tier's decision by scores.

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
) -> tuple[Decision, Comparison, list[Finding]]:
    """The decision at as many seeds as there are runs in each unit, and how to tell it."""
    ours, our_diverged = arrays(candidate)
    theirs, their_diverged = arrays(baseline)
    decision = decide(ours, theirs, our_diverged, their_diverged, names, plan)
    better = [
        float(probability_of_improvement(ours[:, [i]], theirs[:, [i]])) for i in range(len(names))
    ]
    better.append(float(probability_of_improvement(ours, theirs)))
    means = [(float(a), float(b)) for a, b in zip(ours.mean(0), theirs.mean(0), strict=True)]
    alone = len(names) == 1
    means.append(means[0] if alone else (float(iqm(ours)), float(iqm(theirs))))
    average = f"mean of {len(ours)} scores" if alone else iqm_note(*ours.shape)
    rows, findings = [], []
    for unit, mean, chance in zip(decision.units, means, better, strict=True):
        found = cast(Verdict, unit.verdict)
        ends = unit.change, unit.lower, unit.upper
        counts = unit.diverged, unit.baseline_diverged
        rows.append(Row(unit.name, found, *mean, *ends, chance, *counts))
        if not (alone and unit.name == OVERALL):
            why = explain(unit, plan).removeprefix(f"{unit.name}: {found}: ")
            findings.append(Finding(tier, unit.name, found, why))
    comparison = Comparison(
        tier,
        suite,
        plan.margin,
        plan.alpha,
        plan.looks,
        tuple(run.seed for run in baseline[0]),
        average,
        tuple(rows),
        _rows(ours),
        _rows(theirs),
    )
    return decision, comparison, findings


def _rows(scores: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(column) for column in scores.T.tolist())
