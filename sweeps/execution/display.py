"""What a person sees of a sweep: a bar for all of it and a line a worker, or plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from rl_eval.run.display import PLAIN_SECONDS
from rl_eval.text import printable
from sweeps.execution.execute import Tally
from sweeps.execution.work import Ended, Event, Moving, Retried

LEAST_DONE = 0.2  # of one run, before which compilation hides how fast runs are


@contextmanager
def live(console: Console, tally: Tally) -> Iterator[Callable[[Event], None]]:
    """A callback that counts and shows events; failures and retries stay on the screen."""
    state = _State(tally)

    def note(event: Event) -> None:
        state.add(event)
        if isinstance(event, Retried):
            text = f"{event.item.name}: {event.reason}; trying once more"
        elif isinstance(event, Ended) and event.status == "failed":
            text = f"{event.item.name} failed: {event.reason}"
        else:
            return
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    if not console.is_terminal:
        yield _plain(console, state, note)
        return
    columns = (BarColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bars:
        whole = bars.add_task(state.line(), total=tally.total)
        each: dict[int, TaskID] = {}

        def show(event: Event) -> None:
            note(event)
            bars.update(whole, completed=tally.ended, description=state.line())
            if isinstance(event, Moving):
                if event.worker not in each:
                    each[event.worker] = bars.add_task("", total=1.0)
                text = printable(worker_line(event))
                bars.update(each[event.worker], completed=event.share, description=text)

        yield show


class _State:
    """Counts, and the clock that the remaining time is told by."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.running: dict[Path, float] = {}
        self._begun, self._before = time.monotonic(), tally.ended

    def add(self, event: Event) -> None:
        if isinstance(event, Moving):
            self.running[event.item.directory] = event.share
            return
        self.running.pop(event.item.directory, None)
        if isinstance(event, Ended):
            self.tally.add(event)

    def line(self) -> str:
        t = self.tally
        best = "-" if t.best is None else f"{t.best[0]:.2f} ({t.best[1]})"
        pruned = f"{t.pruned} pruned  " if t.pruned else ""
        return (
            f"{t.ended}/{t.total} runs  {len(self.running)} running  {t.failed} failed  "
            f"{t.diverged} diverged  {pruned}best {best}  ETA {self._eta()}"
        )

    def _eta(self) -> str:
        done = self.tally.ended - self._before + sum(self.running.values())
        if done < LEAST_DONE:
            return "-"
        left = self.tally.total - self._before - done
        seconds = int((time.monotonic() - self._begun) / done * left)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def worker_line(event: Moving) -> str:
    """What a worker is at."""
    config = event.item.config
    score = "" if event.score is None else f"  return {event.score:.2f}"
    return f"{config.env.id} {config.optimizer.name}  {event.item.name}{score}"


def _plain(
    console: Console, state: _State, note: Callable[[Event], None]
) -> Callable[[Event], None]:
    last = time.monotonic()

    def show(event: Event) -> None:
        nonlocal last
        note(event)
        now = time.monotonic()
        ended = isinstance(event, Ended) and state.tally.ended == state.tally.total
        if ended or now - last >= PLAIN_SECONDS:
            last = now
            console.print(state.line(), highlight=False, soft_wrap=True, markup=False)

    return show
