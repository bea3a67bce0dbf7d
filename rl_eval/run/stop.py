"""Ctrl-C, SIGTERM and what schedulers send before they end a job: finish the chunk, save, leave."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE_SECONDS = 4.0  # for the chunk in progress and its checkpoint; then the process just ends
ECHO_SECONDS = 1.0  # wrappers such as timeout(1) pass on a signal that the process got as well
# A lost terminal says SIGHUP; batch systems give notice by SIGUSR1 where they are told to.
TERMINATING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_SIGNALS = (signal.SIGINT, *TERMINATING)
_REPEATED = 128  # added to a signal that Python heard, which C should have told of before


class Terminated(BaseException):
    """One of TERMINATING, as KeyboardInterrupt is SIGINT: raised where a run can close its records.

    `signal`: its number.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


def heard() -> tuple[int, ...]:
    """Signals to act on: nohup(1) has SIGHUP ignored, and means it."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(s for s in _SIGNALS if not (ignored and s == signal.SIGHUP))


def raise_terminated() -> None:
    """Have every signal of TERMINATING raise `Terminated`, where signals can be had."""

    def terminate(number: int, frame: object) -> None:
        raise Terminated(number)

    if threading.current_thread() is threading.main_thread():
        for number in heard():
            if number != signal.SIGINT:
                signal.signal(number, terminate)


class StopRequest:
    """What was asked of the process since `graceful` began."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raise if a stop was asked for.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            Terminated: another signal.
        """
        if self.signal is not None:
            raise KeyboardInterrupt if self.signal == signal.SIGINT else Terminated(self.signal)


@contextmanager
def graceful(at_the_last: Callable[[], object]) -> Iterator[StopRequest]:
    """Signals become a request that the loop inside looks at between chunks.

    Python hears a signal only after the compiled call in progress, which a compilation or a long
    iteration may hold for minutes: GRACE_SECONDS later `at_the_last` is called and the process
    ends with 128 and the signal's number, the last checkpoint being intact. A second signal ends
    it at once.
    Outside the main thread signals cannot be had, and nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(target=_watch, args=(reader, request, at_the_last), daemon=True)

    def repeat(number: int, frame: object) -> None:
        os.write(writer, bytes([_REPEATED + number]))

    # The watcher acts on the byte that C writes for each signal, even during a compiled call. An
    # event loop takes it away while it runs (orbax saves in one of uvloop), hence the repetition.
    taken = heard()
    previous = [signal.signal(number, repeat) for number in taken]
    old_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(old_fd)
        for number, handler in zip(taken, previous, strict=True):
            signal.signal(number, handler)
        os.close(writer)  # the watcher reads the end of the pipe and leaves
        watcher.join()
        os.close(reader)


def _watch(reader: int, request: StopRequest, at_the_last: Callable[[], object]) -> None:
    """Read a byte per signal; end the process when the grace is over or asked for again."""
    asked = 0.0
    while True:
        left = None if request.signal is None else asked + GRACE_SECONDS - time.monotonic()
        ready, _, _ = select.select([reader], [], [], None if left is None else max(0.0, left))
        received = os.read(reader, 1) if ready else None
        if received == b"":
            return
        byte = received[0] if received else None  # None: the grace is over
        if byte is not None and byte % _REPEATED not in _SIGNALS:
            continue
        if byte is not None and request.signal is None:
            request.signal, asked = byte % _REPEATED, time.monotonic()
        elif byte is None or (byte in _SIGNALS and time.monotonic() - asked > ECHO_SECONDS):
            at_the_last()
            os.write(2, b"rl-eval: stopped at once; the last checkpoint is where it goes on\n")
            os._exit(128 + (request.signal or 0))
