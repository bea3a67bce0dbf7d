"""The tiers that train: seeds are added, look by look, until there is a decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.gate import power, probes, protocol
from rl_eval.gate.baseline import Scores, arrays
from rl_eval.gate.finding import Finding, Tier
from rl_eval.gate.plan import Plan, plan_for
from rl_eval.gate.result import Comparison, Promise, compare
from sweeps.gate.runs import Runs
from sweeps.gate.units import Planned

Told = tuple[list[Finding], list[Comparison]]


def look_at_probes(units: Sequence[Planned], recorded: Scores, alpha: float, runs: Runs) -> Told:
    """Levels where there is one right answer; elsewhere the rule of scores.

    Raises:
        RunFailedError, WorkerError: as `Runs.of`.
    """
    exact = [i for i, unit in enumerate(units) if protocol.is_probe(unit.config.env.id)]
    found = runs.of([units[i] for i in exact], recorded.seeds)
    findings = [
        probes.level(units[i].name, runs_of_it, recorded.units[i].runs)
        for i, runs_of_it in zip(exact, found, strict=True)
    ]
    rest = [i for i in range(len(units)) if i not in exact]
    control = Scores("control", recorded.seeds, tuple(recorded.units[i] for i in rest))
    plan = plan_for(len(recorded.seeds), protocol.PROBE_MARGIN, alpha)
    more, comparisons = look("probes", [units[i] for i in rest], control, plan, runs)
    for unit in units:
        if unit.name == protocol.RESUMED:
            whole = runs.directory(unit, recorded.seeds[0])
            stopped = runs.stopped(unit, recorded.seeds[0])
            more.append(probes.resumed(whole, stopped, recorded.resumes_exactly))
    return findings + more, comparisons


def look(tier: Tier, units: Sequence[Planned], recorded: Scores, plan: Plan, runs: Runs) -> Told:
    """Decide at each look; more seeds are run only while it is inconclusive.

    Raises:
        RunFailedError, WorkerError: as `Runs.of`.
    """
    seeds: int | None = plan.looks[0]
    names, scales = [unit.name for unit in units], [unit.scale for unit in recorded.units]
    while seeds is not None:
        ours = runs.of(units, recorded.seeds[:seeds])
        theirs = [unit.runs[:seeds] for unit in recorded.units]
        decision, comparison, findings = compare(
            tier, recorded.suite, names, ours, theirs, plan, scales
        )
        runs.console.print(f"{tier}, {seeds} seeds: {decision.verdict}")
        seeds = decision.next_look
    return findings, [comparison]


def promise(recorded: Scores, plan: Plan) -> Promise:
    """What gates like this one do, from the spread of the baseline."""
    scores, _ = arrays([unit.runs for unit in recorded.units])
    found = power.power(scores, plan, np.random.default_rng(0))
    return Promise(
        power.GATES, found.passes, found.catches, found.catches_one, found.misses, found.rare
    )
