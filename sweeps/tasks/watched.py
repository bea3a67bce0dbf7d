"""What a worker of the gate does: it also records what each run depended on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.gate.dependencies.kept import keep
from rl_eval.gate.dependencies.snapshot import snapshot
from rl_eval.gate.dependencies.watch import watch
from sweeps.execution.work import Outcome, Run, Tell


def make() -> Run:
    """As `sweeps.tasks.trial`."""
    seen = watch()  # before anything of the candidate is imported
    from sweeps.tasks import trial

    seen.settle()
    return _recorded(seen, trial.make())


def stopped_once() -> Run:
    """As `sweeps.tasks.stopped`."""
    seen = watch()
    from sweeps.tasks import stopped

    seen.settle()
    return _recorded(seen, stopped.stopped_once())


def _recorded(seen: Any, run: Run) -> Run:
    def recorded(values: Mapping[str, Any], directory: Path, tell: Tell) -> Outcome:
        outcome = run(values, directory, tell)
        keep(snapshot(seen), directory, directory.parents[2])
        return outcome

    return recorded
