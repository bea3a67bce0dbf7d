"""The runs of one optimizer for the gate: worker processes, records, resumption."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console

from rl_eval.gate.baseline import Run
from rl_eval.gate.dependencies.kept import stale
from rl_eval.gate.outcome import outcome
from rl_eval.records.lock import holder
from rl_eval.settings import SettingsError
from sweeps.execution import execute
from sweeps.execution.display import live
from sweeps.execution.local import local
from sweeps.execution.places import Place, places
from sweeps.execution.work import Ended, Item, Retried
from sweeps.gate.contender import Contender
from sweeps.gate.units import Planned
from sweeps.trials import Trial, run_directory

TASK = "sweeps.tasks.watched:make"
STOPPED_TASK = "sweeps.tasks.watched:stopped_once"

MOST_REASONS = 3


@dataclasses.dataclass(frozen=True)
class Runs:
    """Runs in a folder that belongs to this code, these weights and these versions alone.

    made: directories of runs that this process has made or found to be as it would make them.
    """

    folder: Path
    on: Sequence[Place]
    console: Console
    made: set[Path] = dataclasses.field(default_factory=set)

    def of(self, units: Sequence[Planned], seeds: Sequence[int]) -> list[list[Run]]:
        """One run for each unit and seed; those that have ended are not repeated.

        Raises:
            RunFailedError: one failed.
            WorkerError: no worker can be started.
        """
        trials = [Trial(unit.config, {}) for unit in units]
        self._drop_stale(trials, seeds, self.folder)
        todo = execute.items(trials, seeds, self.folder, retry_failed=True)
        if todo:
            tally = execute.tally(trials, seeds, self.folder, todo)
            executor = local(TASK, self.on, self.folder / "workers")
            events = execute.execute(todo, executor)
            with (
                closing(events),
                live(self.console, tally) as show,
            ):
                for event in events:
                    show(event)
        return [
            [outcome(self.directory(unit, seed), unit.config.env.id, seed) for seed in seeds]
            for unit in units
        ]

    def stopped(self, unit: Planned, seed: int) -> Path:
        """The directory of a run that was stopped half way and ended in another process.

        Raises:
            RunFailedError, WorkerError: as `of`.
        """
        root = self.folder / "stopped"
        trial = Trial(unit.config, {})
        self._drop_stale([trial], [seed], root)
        (*todo,) = execute.items([trial], [seed], root, retry_failed=True)
        if todo:
            self.console.print(f"{unit.name}: one run is stopped half way and gone on with")
        events = execute.execute(todo, local(STOPPED_TASK, self.on[:1], root / "workers"))
        with closing(events):
            for event in events:
                if isinstance(event, Retried | Ended):
                    self.console.print(_line(event.item, event), markup=False, soft_wrap=True)
        directory = run_directory(root, trial.id, seed)
        outcome(directory, unit.config.env.id, seed)
        return directory

    def _drop_stale(self, trials: Sequence[Trial], seeds: Sequence[int], root: Path) -> None:
        """Remove runs of which it is not sure that they would end the same today, and say why."""
        there = [run_directory(root, trial.id, seed) for trial in trials for seed in seeds]
        reasons: Counter[str] = Counter()
        for directory in there:
            if directory in self.made or not directory.is_dir() or holder(directory) is not None:
                continue
            if why := stale(directory, root):
                shutil.rmtree(directory)
                reasons["; ".join(why[:MOST_REASONS])] += 1
        self.made.update(there)
        for reason, count in reasons.items():
            line = f"{count} earlier runs are made again: {reason}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def directory(self, unit: Planned, seed: int) -> Path:
        return run_directory(self.folder, Trial(unit.config, {}).id, seed)


def runs_of(who: Contender, work: Path, workers: int | None, console: Console) -> Runs:
    """Where this optimizer's runs are, and on which cores they are made.

    Raises:
        SettingsError: no worker at all is asked for.
    """
    try:
        there = places(workers)
    except ValueError as error:
        raise SettingsError(f"--workers {workers}: {error}") from None
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in who.name)
    return Runs(work / f"{safe}-{who.fingerprint}", there, console)


def _line(item: Item, event: Retried | Ended) -> str:
    what = "stopped; another process goes on" if isinstance(event, Retried) else event.status
    return f"{item.name}: {what}"
