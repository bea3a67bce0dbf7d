"""From what is planned and what is recorded to runs, by any executor."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from rl_eval.config import to_dict
from rl_eval.records.run import RunDirectory
from sweeps.execution.work import Ended, Ending, Event, Executor, Item
from sweeps.trials import (
    ENDED,
    Trial,
    recorded_ending,
    remaining,
    run_directory,
    static_signature,
)


def items(
    trials: Iterable[Trial], seeds: Iterable[int], sweep: Path, *, retry_failed: bool = False
) -> list[Item]:
    """What has not ended yet, by the records, in the order of the plan."""
    ended = ENDED if retry_failed else ENDED | {"failed"}
    return [
        Item(
            trial.id,
            dataclasses.replace(trial.config, seeds=(seed,)),
            run_directory(sweep, trial.id, seed),
            static_signature(trial.config),
        )
        for trial, seed in remaining(trials, seeds, sweep, ended)
    ]


def execute(todo: Sequence[Item], executor: Executor) -> Generator[Event, None, None]:
    """The executor's events, each ending recorded before it is told. Closed, it stops."""
    with closing(executor(todo)) as events:
        for event in events:
            if isinstance(event, Ended) and event.status == "failed":
                mark_failed(event.item, event.reason or "failed")
            yield event


def mark_failed(item: Item, reason: str) -> None:
    """Record the failure of a run that could not do so itself; a full disk must not stop us."""
    directory = RunDirectory(item.directory)
    with suppress(OSError):
        if not (item.directory / "config.json").is_file():
            shutil.rmtree(item.directory, ignore_errors=True)
            directory.create(to_dict(item.config), {})
        directory.set_status("failed", reason)


@dataclasses.dataclass
class Tally:
    """How a sweep stands. `score` of the best is its seed's own."""

    total: int
    completed: int = 0
    diverged: int = 0
    pruned: int = 0
    failed: int = 0
    best: tuple[float, str] | None = None

    @property
    def ended(self) -> int:
        return self.completed + self.diverged + self.pruned + self.failed

    def add(self, event: Ended) -> None:
        self.count(event.status, event.score, event.item.name)

    def count(self, status: Ending, score: float | None, name: str) -> None:
        setattr(self, status, getattr(self, status) + 1)
        better = score is not None and (self.best is None or score > self.best[0])
        if status == "completed" and better:
            assert score is not None
            self.best = score, name


def tally(
    trials: Sequence[Trial], seeds: Sequence[int], sweep: Path, todo: Sequence[Item]
) -> Tally:
    """How a sweep stands before `todo` is run."""
    found = Tally(len(trials) * len(seeds))
    left = {item.directory for item in todo}
    for trial in trials:
        for seed in seeds:
            directory = run_directory(sweep, trial.id, seed)
            ending = None if directory in left else recorded_ending(directory)
            if ending:
                found.count(ending[0], ending[2], f"{trial.id} seed {seed}")
    return found
