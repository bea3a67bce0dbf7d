"""Worker processes on this machine: one thread and one core each, replaced when they die.

A worker may be given several items of one signature, which its task trains together. On a CPU one
after another is faster as a rule. Measured with PPO on Breakout-MinAtar and two cores: 41,800 env
steps/s on one core, 43,000 to 49,000 with both, 78,000 as two pinned processes; a vmap of 8 was
slower than one after another.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from rl_eval.config import to_dict
from rl_eval.errors import ExplainedError, MachineError
from rl_eval.packages import command, search_path
from sweeps.execution.places import Place, core_of, environment
from sweeps.execution.work import Backlog, Ended, Event, Executor, Item, Moving, Retried

PATIENCE_S = 900.0  # without a word from a worker, compilation included: it hangs
RETRIES = 1  # of an item that a worker died of
STOP_S = 15.0  # for workers to save their runs when the sweep is stopped
STILLBORN = 3  # workers in a row that die before they are ready: the environment is broken
TAIL = 2000  # characters of a worker's log that an error shows


class WorkerError(ExplainedError, RuntimeError):
    """Workers cannot be started; the message has the end of their log."""


def local(
    task: str,
    on: Sequence[Place],
    logs: Path,
    patience_s: float = PATIENCE_S,
    population: int = 1,
) -> Executor:
    """An executor with a worker process at each place of `on`.

    Args:
        task: `module:function`, see `sweeps.execution.workers`.
        logs: folder for what workers print.
        patience_s: seconds without a sign of life after which a worker is taken to hang.
        population: items of one signature that a worker is given at once, at most. Above one,
            `task` makes a `RunTogether`. Those of a group that fails are run again alone.

    Raises:
        WorkerError: while it runs; no worker can be started.
        MachineError: while it runs; the machine failed, and the runs that did not end can go on.
    """

    def execute(items: Sequence[Item]) -> Generator[Event, None, None]:
        logs.mkdir(parents=True, exist_ok=True)
        used = on[: -(-len(items) // population)]
        crew = _Crew(task, used, logs, patience_s, population, Backlog(items))
        try:
            yield from crew.work()
        finally:
            crew.stop()

    return execute


class _Worker:
    """A process, the items it is at, and when it was last heard of."""

    def __init__(self, task: str, number: int, place: Place, logs: Path) -> None:
        self.number = number
        self.items: list[Item] = []
        self.signature: str | None = None
        self.ready = False
        self.seen = time.monotonic()
        self.hung = False
        self._rest = b""
        self.log = logs / f"{number}.log"
        self.pipe, theirs = os.pipe()
        modules = {"PYTHONPATH": search_path()}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command("sweeps.execution.workers", task, core_of(place), str(theirs)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **modules, **environment(place)},
                pass_fds=[theirs],
                start_new_session=True,  # Ctrl-C is for the sweep, which then stops its workers
            )
        os.close(theirs)

    def order(self, items: list[Item], *, together: bool) -> None:
        """Give it something to run; that it may be dead shows when it is read from."""
        self.items, self.signature, self.seen = items, items[0].signature, time.monotonic()
        orders = [{"config": to_dict(x.config), "directory": str(x.directory)} for x in items]
        order = {"orders": orders, "together": together}
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()

    def read(self) -> list[dict[str, Any]] | None:
        """What it said since the last time; None if it is gone."""
        received = os.read(self.pipe, 1 << 16)
        if not received:
            return None
        self.seen = time.monotonic()
        *lines, self._rest = (self._rest + received).split(b"\n")
        return [json.loads(line) for line in lines]

    def bury(self) -> str:
        """Wait for the end of a process that is gone, and say how it died."""
        self.close()
        code = self.process.wait()
        if self.hung:
            return "the worker hung and was killed"
        if code >= 0:
            return f"the worker ended with exit code {code}; see {self.log}"
        name = signal.Signals(-code).name
        memory = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the worker was killed by {name}{memory}"

    def close(self) -> None:
        """End its orders and stop listening."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        os.close(self.pipe)


class _Crew:
    """The workers of one execution."""

    def __init__(
        self,
        task: str,
        on: Sequence[Place],
        logs: Path,
        patience_s: float,
        population: int,
        backlog: Backlog,
    ) -> None:
        self._task, self._on, self._logs, self._patience_s = task, on, logs, patience_s
        self._population, self._backlog = population, backlog
        self._deaths: Counter[str] = Counter()
        self._stillborn = 0
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}

    def work(self) -> Iterator[Event]:
        """Until nothing is left."""
        for number, _ in enumerate(self._on):
            self._hire(number)
        while self._workers:
            for key, _ in self._selector.select(timeout=1.0):
                yield from self._hear(key.data)
            for worker in self._workers.values():
                silent = time.monotonic() - worker.seen
                if (worker.items or not worker.ready) and silent > self._patience_s:
                    worker.hung = True
                    worker.process.kill()

    def stop(self) -> None:
        """Ask whoever still runs to save and leave; those that do not are killed."""
        for worker in self._workers.values():
            worker.process.terminate()
        deadline = time.monotonic() + STOP_S
        try:
            for worker in self._workers.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self._workers.values():
                worker.process.kill()
                worker.bury()
            self._workers = {}
            self._selector.close()

    def _hire(self, number: int) -> None:
        worker = _Worker(self._task, number, self._on[number], self._logs)
        self._workers[number] = worker
        self._selector.register(worker.pipe, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker) -> Iterator[Event]:
        messages = worker.read()
        if messages is None:
            yield from self._died(worker)
            return
        for message in messages:
            if "ready" in message:
                worker.ready, self._stillborn = True, 0
            elif "machine" in message:
                raise MachineError(message["machine"])
            elif "share" in message:
                for item in worker.items:
                    yield Moving(item, worker.number, message["share"], message["score"])
            else:
                yield from self._ended(worker, message["outcomes"])
            if not worker.items:
                yield from self._next(worker)

    def _ended(self, worker: _Worker, outcomes: list[Any]) -> Iterator[Event]:
        items, worker.items = worker.items, []
        for item, (status, reason, score) in zip(items, outcomes, strict=True):
            if status == "failed" and len(items) > 1:
                yield self._again(item, worker, reason)
            else:
                yield Ended(item, worker.number, status, reason, score)

    def _again(self, item: Item, worker: _Worker, reason: str) -> Retried:
        self._backlog.put_back(item)
        return Retried(item, worker.number, reason)

    def _next(self, worker: _Worker) -> Iterator[Event]:
        items = self._backlog.take(worker.signature, self._population)
        if not items:
            self._dismiss(worker)
            worker.bury()
            return
        worker.order(items, together=self._population > 1)
        for item in items:
            yield Moving(item, worker.number)

    def _dismiss(self, worker: _Worker) -> None:
        self._selector.unregister(worker.pipe)
        del self._workers[worker.number]

    def _died(self, worker: _Worker) -> Iterator[Event]:
        self._dismiss(worker)
        reason = worker.bury()
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                text = worker.log.read_text(errors="replace")[-TAIL:]
                raise WorkerError(f"no worker can be started: {reason}\n{text}")
        for item in worker.items:
            self._deaths[item.name] += len(worker.items) == 1
            times = self._deaths[item.name]
            if times <= RETRIES:
                yield self._again(item, worker, reason)
            else:
                yield Ended(item, worker.number, "failed", f"{reason}, {times} times")
        if len(self._backlog):
            self._hire(worker.number)
