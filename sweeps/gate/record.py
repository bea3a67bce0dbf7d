"""`rl-eval gate record`: a trusted release becomes a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from rl_eval.gate import baseline, probes, protocol
from rl_eval.gate.baseline import Baseline, Run, Scores, Unit
from rl_eval.records.lock import locked
from rl_eval.settings import SettingsError
from sweeps.gate.contender import Contender, contender, own_settings
from sweeps.gate.numerics import record_numerics
from sweeps.gate.options import Record
from sweeps.gate.runs import Runs, runs_of
from sweeps.gate.tiers import command, rates_of, seeds_of, tasks_of, tiers_of
from sweeps.gate.units import Planned, plan


def record(args: Record, console: Console) -> Baseline:
    """Record every tier that is asked for and write the file.

    Raises:
        SettingsError: anything wrong with what was given; nothing was run then.
        RunFailedError, WorkerError, LockedError: a run failed, or none can be made.
    """
    if args.out.exists() and not args.overwrite:
        raise SettingsError(f"{args.out} is there already; --overwrite replaces it")
    tiers = tiers_of(args.tiers, args.suite)
    suite, seeds = args.suite or protocol.DEFAULT_SUITE, seeds_of(args.seeds)
    who = contender(args.optimizer, own_settings(args.optimizer, args.set))
    small = plan(who.name, protocol.probes(), args.set) if "probes" in tiers else []
    rates = rates_of(args.learning_rates)
    tasks = tasks_of(suite) if "benchmark" in tiers else []
    large = plan(who.name, tasks, args.set, rates, args.learning_rate_name)
    work = args.work or args.out.with_name(f"{args.out.stem}-work")
    work.mkdir(parents=True, exist_ok=True)
    with locked(work):
        runs = runs_of(who, work, args.workers, console)
        found = Baseline(
            kind=baseline.KIND,
            format=baseline.FORMAT,
            command=command(),
            release=who.release,
            numerics=record_numerics(who, console) if "numerics" in tiers else None,
            probes=_probes(runs, small) if small else None,
            benchmark=_scores(runs, suite, large, seeds) if large else None,
        )
    baseline.write(args.out, found)
    console.print(_said(args, found, who), highlight=False, soft_wrap=True, markup=False)
    return found


def _probes(runs: Runs, units: Sequence[Planned]) -> Scores:
    seeds = tuple(range(protocol.PROBE_SEEDS))
    scores = _scores(runs, "probes", units, seeds)
    (unit,) = (unit for unit in units if unit.name == protocol.RESUMED)
    stopped = runs.stopped(unit, seeds[0])
    exactly = probes.ends(runs.directory(unit, seeds[0])) == probes.ends(stopped)
    return Scores(scores.suite, scores.seeds, scores.units, exactly)


def _scores(runs: Runs, suite: str, units: Sequence[Planned], seeds: tuple[int, ...]) -> Scores:
    found = runs.of(units, seeds)
    return Scores(
        suite, seeds, tuple(_unit(unit, of) for unit, of in zip(units, found, strict=True))
    )


def _unit(unit: Planned, runs: Sequence[Run]) -> Unit:
    scale = protocol.scale(unit.config.env.id)
    return Unit(unit.name, unit.config, dict(unit.given), scale, tuple(runs))


def _said(args: Record, found: Baseline, who: Contender) -> str:
    return f"{args.out}: {who.name}, {', '.join(found.tiers)}"
