"""The worker process: pinned to a core before jax starts, told what to run a line at a time.

    python -P rl_eval/packages.py sweeps.execution.workers TASK CORE DESCRIPTOR

Orders come as JSON lines on standard input, each of runs that share their compiled programs; its
end says that nobody waits for results any more. What happens goes back as JSON lines on the file
DESCRIPTOR. TASK is `module:function`, which is called without arguments and returns a
`sweeps.execution.work.Run`, or a `RunTogether` where the orders say so. CORE is a number, or -
for any.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

from rl_eval.errors import MachineError, machine_fault
from sweeps.execution.work import Order, Outcome, Run, RunTogether, Tell

LAST_SECONDS = 20.0  # for a run to save itself once nobody waits for it any more


def main(task: str, core: str, descriptor: str) -> int:
    """Run orders until there are no more; the exit code."""
    if core != "-":
        os.sched_setaffinity(0, {int(core)})
    from rl_eval.run.stop import Terminated, raise_terminated

    raise_terminated()
    out = os.fdopen(int(descriptor), "w", buffering=1)

    def say(**message: Any) -> None:
        with suppress(OSError):  # nobody listens; the end of the orders says so in a moment
            out.write(json.dumps(message) + "\n")

    orders = _Orders(sys.stdin)
    try:
        run = load(task)
        say(ready=True)
        while (order := orders.next()) is not None:

            def tell(share: float, score: float | None) -> None:
                say(share=share, score=score)

            told = [(each["config"], Path(each["directory"])) for each in order["orders"]]
            try:
                outcomes = attempt_all(run, told, tell, together=order["together"])
            except MachineError as error:
                say(machine=str(error))
                return 1
            orders.done()
            say(outcomes=outcomes)
    except (KeyboardInterrupt, Terminated):
        os._exit(128 + signal.SIGTERM)  # not waiting for the thread that listens
    return 0


def load(task: str) -> Any:
    """What the function `module:function` makes."""
    module, _, name = task.partition(":")
    return getattr(importlib.import_module(module), name)()


def attempt(run: Run, config: Mapping[str, Any], directory: Path, tell: Tell) -> Outcome:
    """How a run ended, why, and its score; what it raises is a failure.

    Raises:
        MachineError: as `attempt_all`.
    """
    return attempt_all(run, [(config, directory)], tell)[0]


def attempt_all(
    run: Run | RunTogether, orders: Sequence[Order], tell: Tell, *, together: bool = False
) -> list[Outcome]:
    """How each run ended; what is raised is the failure of all that were run at once.

    Raises:
        MachineError: the machine failed, which says nothing of a run.
    """
    try:
        if together:
            return cast(RunTogether, run)(orders, tell)
        return [cast(Run, run)(*order, tell) for order in orders]
    except Exception as error:
        if fault := machine_fault(error):
            raise MachineError(fault) from error
        failed: Outcome = "failed", f"{type(error).__name__}: {error}".strip(": "), None
        return [failed] * len(orders)


class _Orders:
    """Lines of a stream. When it ends in the middle of an order, this process gets a SIGTERM."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._busy, self._ended = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> dict[str, Any] | None:
        order = self._waiting.get()
        self._busy.set()
        return None if self._ended.is_set() else order

    def done(self) -> None:
        self._busy.clear()

    def _listen(self) -> None:
        for line in self._stream:
            self._waiting.put(json.loads(line))
        self._ended.set()
        self._waiting.put(None)
        if self._busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(LAST_SECONDS)
            os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
