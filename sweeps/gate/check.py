"""`rl-eval gate check`: a candidate against a baseline, cheapest tier first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console

from rl_eval.gate import baseline, probes, protocol
from rl_eval.gate.baseline import Baseline, Release, Scores
from rl_eval.gate.decision import Plan
from rl_eval.gate.finding import Finding, Tier, verdict
from rl_eval.gate.numerics.tier import Numerics
from rl_eval.gate.outcome import RunFailedError
from rl_eval.gate.power import plan_for
from rl_eval.gate.result import Comparison, Result, compare
from rl_eval.records.lock import locked
from rl_eval.report.gate import files
from rl_eval.settings import SettingsError
from rl_eval.stats.compare import MIN_RUNS
from sweeps.gate.contender import Contender, contender, inherited, own_settings
from sweeps.gate.numerics import check_numerics
from sweeps.gate.options import Check
from sweeps.gate.runs import Runs, runs_of
from sweeps.gate.tiers import command, tasks_of, tiers_of
from sweeps.gate.units import Planned, plan_again

Told = tuple[list[Finding], list[Comparison]]


def check(args: Check, console: Console) -> Result:
    """Run every tier that is asked for, write the report and show its reasons.

    Raises:
        SettingsError: anything wrong with what was given; nothing was run then.
        BaselineError: the file cannot be used.
        WorkerError, LockedError: no runs can be made.
    """
    if not args.baseline.is_file():
        raise SettingsError(f"{args.baseline}: No such file; `rl-eval gate record` writes one")
    recorded = baseline.load(args.baseline)
    tiers = tiers_of(args.tiers, args.suite)
    _recorded_all(args, recorded, tiers)
    settings, lacking = inherited_settings(args.candidate, recorded.release, args.set)
    who = contender(args.candidate, settings)
    small, large = (
        _units(who, getattr(recorded, tier) if tier in tiers else None, args.set, lacking)
        for tier in ("probes", "benchmark")
    )
    plan = _plan(args, recorded.benchmark) if large else None
    out = args.report_dir
    work = args.work or out / "work"
    work.mkdir(parents=True, exist_ok=True)
    looks: dict[Tier, Callable[[Runs], Told]] = {}
    if recorded.numerics and "numerics" in tiers:
        looks["numerics"] = partial(_numerics, who, recorded.numerics)
    if recorded.probes and small:
        looks["probes"] = partial(_probes, small, recorded.probes)
    if recorded.benchmark and plan:
        looks["benchmark"] = partial(_sequential, "benchmark", large, recorded.benchmark, plan)
    with locked(work):
        runs = runs_of(who, work, args.workers, console)
        told = [_guarded(tier, look, runs) for tier, look in looks.items()]
    findings = tuple(finding for found, _ in told for finding in found)
    result = Result(
        kind="rl-eval gate result",
        verdict=verdict(findings),
        findings=findings,
        comparisons=tuple(one for _, compared in told for one in compared),
        baseline=recorded.release,
        candidate=who.release,
        notes=tuple(_notes(recorded.release, who.release, lacking)),
        recorded_by=recorded.command,
        command=command(),
    )
    files.render(result, out)
    files.show(result, out, console)
    return result


def inherited_settings(
    name: str, release: Release, assignments: Sequence[str]
) -> tuple[dict[str, object], set[str]]:
    """A candidate's settings, and the names of those of the baseline that it lacks."""
    own = own_settings(name, assignments)
    from_baseline, lacking = inherited(name, release.settings)
    return {**from_baseline, **own}, set(lacking)


def _recorded_all(args: Check, recorded: Baseline, tiers: Sequence[Tier]) -> None:
    missing = [tier for tier in tiers if tier not in recorded.tiers]
    if missing:
        raise SettingsError(
            f"{args.baseline} has no {missing[0]}; it has {', '.join(recorded.tiers)}"
        )
    known = recorded.benchmark
    if args.suite is not None and known is not None and args.suite != known.suite:
        raise SettingsError(
            f"another protocol: suite is {known.suite} in the baseline and {args.suite} here"
        )


def _units(
    who: Contender, recorded: Scores | None, assignments: Sequence[str], lacking: set[str]
) -> list[Planned]:
    """Planned as they were recorded; what the candidate lacks is added to `lacking`."""
    if recorded is None:
        return []
    tasks = protocol.probes() if recorded.suite == "probes" else tasks_of(recorded.suite)
    units, more = plan_again(who.name, tasks, assignments, recorded)
    lacking |= more
    return units


def _plan(args: Check, recorded: Scores | None) -> Plan:
    assert recorded is not None
    cap = len(recorded.seeds) if args.seeds is None else args.seeds
    if not MIN_RUNS <= cap <= len(recorded.seeds):
        raise SettingsError(
            f"--seeds {cap}: the baseline has {len(recorded.seeds)}, and {MIN_RUNS} are needed"
        )
    try:
        return plan_for(cap, args.margin, args.alpha)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _guarded(tier: Tier, look: Callable[[Runs], Told], runs: Runs) -> Told:
    """A candidate whose runs fail where the baseline's did not is a regression."""
    try:
        return look(runs)
    except RunFailedError as error:
        return [Finding(tier, "runs", "regression", str(error))], []


def _numerics(who: Contender, recorded: Numerics, runs: Runs) -> Told:
    return check_numerics(who, recorded, runs.console), []


def _probes(units: Sequence[Planned], recorded: Scores, runs: Runs) -> Told:
    """Levels where there is one right answer; elsewhere the rule of scores."""
    exact = [i for i, unit in enumerate(units) if protocol.is_probe(unit.config.env.id)]
    found = runs.of([units[i] for i in exact], recorded.seeds)
    findings = [
        probes.level(units[i].name, runs_of_it, recorded.units[i].runs)
        for i, runs_of_it in zip(exact, found, strict=True)
    ]
    rest = [i for i in range(len(units)) if i not in exact]
    control = Scores("control", recorded.seeds, tuple(recorded.units[i] for i in rest))
    plan = plan_for(len(recorded.seeds), protocol.PROBE_MARGIN)
    more, comparisons = _sequential("probes", [units[i] for i in rest], control, plan, runs)
    for unit in units:
        if unit.name == protocol.RESUMED:
            whole = runs.directory(unit, recorded.seeds[0])
            stopped = runs.stopped(unit, recorded.seeds[0])
            more.append(probes.resumed(whole, stopped, recorded.resumes_exactly))
    return findings + more, comparisons


def _sequential(
    tier: Tier, units: Sequence[Planned], recorded: Scores, plan: Plan, runs: Runs
) -> Told:
    """Decide at each look; more seeds are run only while it is inconclusive."""
    look: int | None = plan.looks[0]
    while look is not None:
        ours = runs.of(units, recorded.seeds[:look])
        theirs = [unit.runs[:look] for unit in recorded.units]
        names = [unit.name for unit in units]
        decision, comparison, findings = compare(tier, recorded.suite, names, ours, theirs, plan)
        runs.console.print(f"{tier}, {look} seeds: {decision.verdict}")
        look = decision.next_look
    return findings, [comparison]


def _notes(then: Release, now: Release, lacking: set[str]) -> list[str]:
    notes = [
        f"{name}: {version} in the baseline, {now.versions.get(name)} here"
        for name, version in then.versions.items()
        if version != now.versions.get(name)
    ]
    if then.hardware != now.hardware:
        notes.append("other hardware than the baseline's: scores are compared, speed is not")
    if lacking:
        names = ", ".join(sorted(lacking))
        notes.append(f"the baseline was given {names}, which the candidate does not have")
    same = (then.code, then.weights) == (now.code, now.weights)
    notes.append("code and weights are the baseline's" if same else "code or weights are new")
    return notes
