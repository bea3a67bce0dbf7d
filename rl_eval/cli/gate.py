"""`rl-eval gate`: may this optimizer release ship?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from rl_eval.cli.exits import DONE, INCONCLUSIVE, REGRESSION
from rl_eval.terminal import Console

_Assignments = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclasses.dataclass(frozen=True)
class Record:
    """Record a release that is trusted: the baseline of later checks."""

    optimizer: str
    """Registered name or module:attribute."""
    out: Path
    """The baseline file."""
    set: _Assignments = ()
    """key=value: any hyperparameter of the optimizer, PPO or the network; repeatable."""
    tiers: str | None = None
    """numerics, probes, benchmark, separated by commas. Default the first two; --suite adds it."""
    suite: str | None = None
    """Of the benchmark: a suite (default minatar-4) or environments, separated by commas."""
    learning_rates: str | None = None
    """Of the benchmark, separated by commas; each is a unit of its own. Default: as set."""
    learning_rate_name: str | None = None
    """The hyperparameter that is the learning rate, if it is called neither learning_rate nor
    lr."""
    seeds: str = "12"
    """Of the benchmark: how many, or which. The most that a check can use."""
    work: Path | None = None
    """Where runs are kept, to go on after a kill. Default: beside --out."""
    workers: int | None = None
    """Worker processes. Default: one a core."""
    overwrite: bool = False
    """Replace the baseline file that is there."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Check a candidate. Exit code: 0 pass, 1 regression, 4 inconclusive, 2 wrong usage."""

    baseline: Path
    """What `rl-eval gate record` wrote."""
    candidate: str
    """Registered name or module:attribute."""
    set: _Assignments = ()
    """key=value over the candidate's own defaults and what the baseline was given; repeatable."""
    tiers: str | None = None
    """As of record."""
    suite: str | None = None
    """Adds the benchmark; must be the suite that was recorded."""
    seeds: int | None = None
    """Of the benchmark: the most per environment. Default: all that were recorded."""
    margin: float = 0.1
    """Loss of normalised score on the benchmark that is still accepted."""
    alpha: float = 0.05
    """Chance of a false alarm, and of a false pass."""
    out: Path | None = None
    """Directory of the report. Default gate/<baseline>-<candidate>."""
    work: Path | None = None
    """Where runs are kept, to go on after a kill. Default OUT/work."""
    workers: int | None = None
    """Worker processes. Default: one a core."""


@dataclasses.dataclass(frozen=True)
class Explain:
    """Why a report says what it says."""

    report: Annotated[Path, tyro.conf.Positional]
    """report.json of a check."""


@dataclasses.dataclass(frozen=True)
class Power:
    """How many seeds a check needs, simulated from the spread of a recorded baseline."""

    suite: str
    """The suite that was recorded."""
    margin: float = 0.1
    """Loss of normalised score that is still accepted."""
    alpha: float = 0.05
    """Chance of a false alarm, and of a false pass."""
    baseline: Path | None = None
    """Default: every baseline in baselines/ that has the suite."""


@dataclasses.dataclass(frozen=True)
class Gate:
    """Record a trusted release, check a candidate against it, explain, plan the seeds."""

    action: tyro.conf.OmitArgPrefixes[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[Record, tyro.conf.subcommand("record")]
            | Annotated[Check, tyro.conf.subcommand("check")]
            | Annotated[Explain, tyro.conf.subcommand("explain")]
            | Annotated[Power, tyro.conf.subcommand("power")]
        ]
    ]


def run(args: Gate) -> int:
    """Exit code of the command."""
    console = Console(stderr=True)
    action = args.action
    if isinstance(action, Record):
        from sweeps.gate import record

        record.record(action, console)
        return DONE
    if isinstance(action, Check):
        from sweeps.gate import check

        return exit_code(check.check(action, console).verdict)
    if isinstance(action, Explain):
        from rl_eval.gate.result import load_result
        from rl_eval.report.gate.text import reasons

        print("\n".join(reasons(load_result(action.report))))
        return DONE
    from rl_eval.cli import gate_power

    return gate_power.show(action)


def exit_code(verdict: str) -> int:
    """0 pass, 1 regression, 4 inconclusive."""
    return {"pass": DONE, "regression": REGRESSION, "inconclusive": INCONCLUSIVE}[verdict]
