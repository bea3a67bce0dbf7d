"""`rl-eval gate`: may this optimizer release ship?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from rl_eval.cli.exits import DONE, INCONCLUSIVE, REGRESSION
from rl_eval.cli.gate_power import Power, show
from rl_eval.terminal import Console
from sweeps.gate.options import Check, Record


@dataclasses.dataclass(frozen=True)
class Explain:
    """Why a report says what it says."""

    report: Annotated[Path, tyro.conf.Positional]
    """report.json of a check."""


@dataclasses.dataclass(frozen=True)
class Gate:
    """Record a trusted release, check a candidate against it, explain, plan the seeds."""

    action: tyro.conf.OmitArgPrefixes[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[tyro.conf.UseAppendAction[Record], tyro.conf.subcommand("record")]
            | Annotated[tyro.conf.UseAppendAction[Check], tyro.conf.subcommand("check")]
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
        from rl_eval.report.gate.text import explained

        print("\n".join(explained(load_result(action.report))))
        return DONE
    return show(action)


def exit_code(verdict: str) -> int:
    """0 pass, 1 regression, 4 inconclusive."""
    return {"pass": DONE, "regression": REGRESSION, "inconclusive": INCONCLUSIVE}[verdict]
