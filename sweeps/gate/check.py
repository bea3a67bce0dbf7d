"""`rl-eval gate check`: a candidate against a baseline, cheapest tier first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from optimizers import registry
from optimizers.references import OptimizerFailedError
from rl_eval.errors import ExplainedError
from rl_eval.gate import baseline
from rl_eval.gate.baseline import Baseline, Release, Scores
from rl_eval.gate.finding import TIERS, Finding, Tier, verdict
from rl_eval.gate.joint import joint_error
from rl_eval.gate.numerics.spread import one_line
from rl_eval.gate.numerics.tier import Numerics
from rl_eval.gate.outcome import RunFailedError
from rl_eval.gate.plan import Plan, plan_for
from rl_eval.gate.result import Comparison, Result
from rl_eval.records.lock import locked
from rl_eval.records.provenance import versions
from rl_eval.report.gate import files
from rl_eval.settings import SettingsError
from rl_eval.stats.compare import MIN_RUNS
from rl_eval.terminal import Console
from sweeps.gate import ledger
from sweeps.gate.built import BuildFailedError
from sweeps.gate.contender import Contender, contender, inherited, own_settings
from sweeps.gate.looks import Told, look, look_at_probes, promise
from sweeps.gate.notes import notes
from sweeps.gate.numerics import check_numerics
from sweeps.gate.options import Check
from sweeps.gate.runs import Runs, runs_of
from sweeps.gate.tiers import command, tiers_of
from sweeps.gate.units import Planned, plan_again


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
    if args.accept_numerics is not None and not args.accept_numerics.strip():
        raise SettingsError("--accept-numerics: say why the change is meant; it is recorded")
    out = args.report_dir
    try:
        registry.get(args.candidate)
    except OptimizerFailedError as error:
        return _shown(_broken(args, recorded, tiers, str(error)), out, console)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    settings, lacking = inherited_settings(args.candidate, recorded.release, args.set)
    plan = _plan(args, recorded.benchmark) if "benchmark" in tiers else None
    units = {
        tier: _units(args.candidate, getattr(recorded, tier), args.set, lacking)
        for tier in ("probes", "benchmark")
        if tier in tiers
    }
    try:
        who = contender(args.candidate, settings)
    except BuildFailedError as error:
        return _shown(_broken(args, recorded, tiers, str(error)), out, console)
    looks: dict[Tier, Callable[[Runs], Told]] = {}
    if recorded.numerics and "numerics" in tiers:
        looks["numerics"] = partial(_numerics, who, recorded.numerics, args.accept_numerics)
    if recorded.probes and "probes" in units:
        looks["probes"] = partial(look_at_probes, units["probes"], recorded.probes, args.alpha)
    if recorded.benchmark and plan:
        looks["benchmark"] = partial(_benchmark, units["benchmark"], recorded.benchmark, plan)
    work = args.work or out / "work"
    work.mkdir(parents=True, exist_ok=True)
    with locked(work):
        runs = runs_of(who, work, args.workers, console)
        told = [_guarded(tier, look, runs) for tier, look in looks.items()]
    said = notes(recorded.release, who.release, lacking, who.doubts)
    if plan and (again := _checked_before(out, recorded, who, plan)):
        said.append(again)
    findings = tuple(finding for found, _ in told for finding in found)
    compared = tuple(one for _, compared in told for one in compared)
    result = _result(args, recorded, tiers, who.release, findings, compared, tuple(said))
    return _shown(result, out, console)


def inherited_settings(
    name: str, release: Release, assignments: Sequence[str]
) -> tuple[dict[str, object], set[str]]:
    """A candidate's settings, and the names of those of the baseline that it lacks."""
    own = own_settings(name, assignments)
    from_baseline, lacking = inherited(name, release.settings)
    return {**from_baseline, **own}, set(lacking)


def _checked_before(out: Path, recorded: Baseline, who: Contender, plan: Plan) -> str | None:
    digest = baseline.digest(dataclasses.asdict(recorded))
    return ledger.note(out, digest, who.fingerprint, plan)


def _result(
    args: Check,
    recorded: Baseline,
    tiers: Sequence[Tier],
    release: Release,
    findings: tuple[Finding, ...],
    comparisons: tuple[Comparison, ...],
    said: tuple[str, ...],
) -> Result:
    return Result(
        kind="rl-eval gate result",
        verdict=verdict(findings),
        findings=findings,
        comparisons=comparisons,
        baseline=recorded.release,
        candidate=release,
        notes=said,
        recorded_by=recorded.command,
        command=command(),
        skipped=tuple(tier for tier in TIERS if tier not in tiers),
        joint=joint_error(tiers, args.alpha),
    )


def _broken(args: Check, recorded: Baseline, tiers: Sequence[Tier], reason: str) -> Result:
    """The report of a candidate that is there and cannot be built: a regression in any tier."""
    release = dataclasses.replace(
        recorded.release,
        optimizer=args.candidate,
        settings={},
        code="not built",
        weights=None,
        versions=versions(),
        dependencies=None,
    )
    finding = Finding(tiers[0], "build", "regression", reason)
    said = ("the candidate cannot be built; nothing was run",)
    return _result(args, recorded, tiers, release, (finding,), (), said)


def _shown(result: Result, out: Path, console: Console) -> Result:
    files.render(result, out)
    files.show(result, out, console)
    return result


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
    name: str, recorded: Scores | None, assignments: Sequence[str], lacking: set[str]
) -> list[Planned]:
    """Planned as they were recorded; what the candidate lacks is added to `lacking`."""
    if recorded is None:
        return []
    units, more = plan_again(name, assignments, recorded)
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
        return plan_for(cap, args.margin, args.alpha, args.margin_floor)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _guarded(tier: Tier, look: Callable[[Runs], Told], runs: Runs) -> Told:
    """A candidate whose runs fail where the baseline's did not is a regression."""
    try:
        return look(runs)
    except RunFailedError as error:
        return [Finding(tier, "runs", "regression", str(error))], []


def _numerics(who: Contender, recorded: Numerics, accepted: str | None, runs: Runs) -> Told:
    """`accepted`: why what has changed was meant to."""
    try:
        found = check_numerics(who, recorded, runs.console)
    except ExplainedError:
        raise
    except Exception as error:  # the candidate's own code is called there
        return [Finding("numerics", "runs", "regression", one_line(error))], []
    if accepted is None:
        return found, []
    return [
        dataclasses.replace(finding, accepted=accepted) if finding.stands else finding
        for finding in found
    ], []


def _benchmark(units: Sequence[Planned], recorded: Scores, plan: Plan, runs: Runs) -> Told:
    findings, comparisons = look("benchmark", units, recorded, plan, runs)
    promised = promise(recorded, plan)
    return findings, [dataclasses.replace(c, promise=promised) for c in comparisons]
