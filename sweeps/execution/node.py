"""What a Ray task does on its node: an item, in the sweep's directory or in one of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import functools
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sweeps.execution.work import Ending, Run, Tell
from sweeps.execution.workers import attempt, load
from sweeps.trials import recorded_ending

Say = Callable[[int, str, float, float | None], object]
"""Told the index of an item, which try of it this is, the share that is done, and its score."""


@dataclasses.dataclass(frozen=True)
class Order:
    """An item as plain data. `mark` is a file that nodes see which share the sweep's directory."""

    index: int
    task: str
    config: Mapping[str, Any]
    directory: str
    mark: str
    patience_s: float
    must_share: str | None
    """Why the item cannot run where the directory is not shared, if it cannot."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How an item ended, with the files of its record if the sweep cannot see them."""

    status: Ending
    reason: str | None
    score: float | None
    files: Mapping[str, bytes] | None = None


def work(order: Order, say: Say) -> Outcome:
    """Run an item. What a run raises is its outcome; what is raised here is the node's fault."""
    run = _made(order.task)
    this_try = uuid.uuid4().hex
    with _watched(order.patience_s) as alive:

        def tell(share: float, score: float | None) -> None:
            alive()
            say(order.index, this_try, share, score)

        tell(0.0, None)
        directory = Path(order.directory)
        if not Path(order.mark).exists():
            return _apart(order, run, tell)
        # A try that ended may have lost its node before it was heard of.
        ended = recorded_ending(directory)
        return Outcome(*(ended or attempt(run, order.config, directory, tell)))


def _apart(order: Order, run: Run, tell: Tell) -> Outcome:
    """Run in a directory of this node, and bring back the record without its checkpoints."""
    if order.must_share:
        return Outcome("failed", f"{order.must_share}, and this node does not see it", None)
    planned = Path(order.directory)
    with tempfile.TemporaryDirectory(prefix="rl-eval-") as scratch:
        directory = Path(scratch, *planned.parts[-3:])
        directory.parent.mkdir(parents=True)
        ending = attempt(run, order.config, directory, tell)
        return Outcome(*ending, record(directory, planned))


def record(directory: Path, planned: Path) -> dict[str, bytes]:
    """The files at the top of a run directory, in which `planned` takes the directory's place."""
    here, there = (json.dumps(str(path))[1:-1].encode() for path in (directory, planned))
    return {
        path.name: path.read_bytes().replace(here, there)
        for path in sorted(directory.glob("*.json*"))
    }


@functools.cache
def _made(task: str) -> Run:
    """Once a process, which keeps what it compiled for the items to come."""
    return load(task)


@contextlib.contextmanager
def _watched(patience_s: float) -> Iterator[Callable[[], None]]:
    """End this process, as a crash that Ray sees, where nothing is heard for so many seconds."""

    def alive() -> None:
        faulthandler.dump_traceback_later(patience_s, exit=True, file=2)

    alive()
    try:
        yield alive
    finally:
        faulthandler.cancel_dump_traceback_later()
