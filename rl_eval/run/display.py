"""Progress of a run: a live bar on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from rl_eval.run.loop import Progress as RunProgress
from rl_eval.run.notebook import notebook_bar
from rl_eval.text import printable

PLAIN_SECONDS = 10.0  # between two plain lines


class _Facts(ProgressColumn):
    """Steps, speed, return, loss and remaining time of a task."""

    def render(self, task: Task) -> Text:
        progress = task.fields.get("progress")
        return Text("compiling ..." if progress is None else _line(progress))


def _line(p: RunProgress) -> str:
    returned = "-" if p.episode_return is None else f"{p.episode_return:.2f}"
    loss = "-" if p.loss is None else f"{p.loss:.3g}"
    minutes, seconds = divmod(int(p.eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{p.env_steps:,}/{p.total_env_steps:,} steps  {p.sps:,.0f} steps/s  "
        f"return {returned}  loss {loss}  ETA {hours:d}:{minutes:02d}:{seconds:02d}"
    )


@contextmanager
def live(console: Console, title: str) -> Iterator[Callable[[RunProgress], None]]:
    """A callback that shows progress on `console` for as long as the context lasts."""
    if console.is_jupyter and not console.quiet:
        bar_of = notebook_bar(title)
        yield lambda p: bar_of(p.env_steps / p.total_env_steps, _line(p))
        return
    if not console.is_terminal:
        yield _plain(console, title)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), _Facts())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(title), total=None, progress=None)

        def show(p: RunProgress) -> None:
            bar.update(task, completed=p.env_steps, total=p.total_env_steps, progress=p)

        yield show


def _plain(console: Console, title: str) -> Callable[[RunProgress], None]:
    last = 0.0

    def show(p: RunProgress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS or p.env_steps >= p.total_env_steps:
            last = now
            console.print(f"{title}  {_line(p)}", highlight=False, soft_wrap=True)

    return show
