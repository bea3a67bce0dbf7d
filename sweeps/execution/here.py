"""Runs in this process, one after another: for optimizers that no other process can import."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from rl_eval.config import to_dict
from sweeps.execution.work import Ended, Event, Executor, Item, Moving, Run
from sweeps.execution.workers import attempt


def here(make: Callable[[], Run]) -> Executor:
    """An executor that runs what `make` makes. Ctrl-C stops it at the run in progress."""

    def execute(items: Sequence[Item]) -> Generator[Event, None, None]:
        run = make()
        for item in items:
            yield Moving(item, 0)
            outcome = attempt(run, to_dict(item.config), item.directory, lambda *told: None)
            yield Ended(item, 0, *outcome)

    return execute
