"""`sweeps.record` and `sweeps.check`: the release gate in Python."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.gate.baseline import Baseline
from rl_eval.gate.finding import Finding
from rl_eval.gate.result import Result, load_result
from rl_eval.report.gate.text import reasons
from rl_eval.setup.objects import Optimizer, named, refuse_objects
from rl_eval.setup.training import console_of
from rl_eval.terminal import Console
from sweeps.gate import check as checking
from sweeps.gate import options
from sweeps.gate import record as recording


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How a check came out. `path`: the directory of its report; `result`: all of it."""

    path: Path
    result: Result

    @property
    def outcome(self) -> str:
        """pass, regression or inconclusive."""
        return self.result.verdict

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Each thing that was looked at, and what was found."""
        return self.result.findings

    @property
    def reasons(self) -> list[str]:
        """Why the outcome is what it is, a line each."""
        return list(reasons(self.result))

    def __repr__(self) -> str:
        return f"Verdict({self.outcome}, {len(self.findings)} findings, {str(self.path)!r})"


def record(
    optimizer: Optimizer,
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    progress: bool | Console = True,
    **more: Any,
) -> Baseline:
    """Record a release that is trusted: the baseline of later checks.

    Args:
        optimizer: a name, `module:attribute`, or what a module holds under its own name.
        out: the baseline file.
        settings: hyperparameters and settings of PPO.
        more: tiers, suite, learning_rates, seeds, work, workers, overwrite; see
            `sweeps.gate.options.Record`.

    Raises:
        SettingsError: anything wrong with what was given; nothing was run then.
    """
    given = options.Record(_name(optimizer), Path(out), set=_assignments(settings), **more)
    return recording.record(given, console_of(progress))


def check(
    baseline: str | Path,
    candidate: Optimizer,
    *,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: bool | Console = True,
    **more: Any,
) -> Verdict:
    """Check a candidate against a recorded baseline, and write a report.

    Args:
        baseline: the file that `record` wrote.
        candidate: a name, `module:attribute`, or what a module holds under its own name.
        settings: over the candidate's own defaults and what the baseline was given.
        out: directory of the report. Default gate/<baseline>-<candidate>.
        more: tiers, suite, seeds, margin, alpha, work, workers; see `sweeps.gate.options.Check`.

    Raises:
        SettingsError: anything wrong with what was given; nothing was run then.
        BaselineError: the file cannot be used.
    """
    given = options.Check(
        Path(baseline),
        _name(candidate),
        set=_assignments(settings),
        out=None if out is None else Path(out),
        **more,
    )
    return Verdict(given.report_dir, checking.check(given, console_of(progress)))


def explain(report: str | Path) -> list[str]:
    """Why a report.json says what it says, a line each.

    Raises:
        RecordError: no such report.
    """
    return list(reasons(load_result(Path(report))))


def _name(optimizer: Optimizer) -> str:
    name, _ = named(optimizer)
    refuse_objects([name], "the gate's processes")
    return name


def _assignments(settings: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(f"{key}={json.dumps(value)}" for key, value in (settings or {}).items())
