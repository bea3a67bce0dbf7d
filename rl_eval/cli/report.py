"""`rl-eval report`: figures, page and table of a sweep or comparison, from its records alone."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.text import Text

from rl_eval.records.scored import Objective
from rl_eval.reports import report
from rl_eval.terminal import Console

SECONDS = 5.0  # between two lines of what is being done, where there is no terminal


@dataclasses.dataclass(frozen=True)
class Report:
    """Draw a sweep or comparison: a page that opens offline, PNG, SVG and PDF figures, a CSV."""

    sweep: Annotated[Path, tyro.conf.Positional]
    """Directory of the sweep or comparison."""
    out: Path | None = None
    """Where the files go. Default the sub-directory report."""
    objective: Objective = "final"
    """What a run is worth: its final return, the area under its curve, or its best checkpoint."""
    export: tuple[Literal["optuna"], str] | None = None
    """Instead of drawing: `optuna URL`, such as sqlite:///study.db, writes studies that
    optuna-dashboard opens; those of an earlier export of this directory are replaced."""


def run(args: Report) -> int:
    """Write everything and say what was written."""
    console = Console(stderr=True)
    with told(console) as tell:
        written = report(
            args.sweep,
            out=args.out,
            objective=args.objective,
            optuna=None if args.export is None else args.export[1],
            tell=tell,
        )
    for problem in written.problems:
        console.print(f"left out: {problem}", highlight=False, soft_wrap=True, markup=False)
    for path in written.files:
        print(path)
    return 0


@contextlib.contextmanager
def told(console: Console, every: float = SECONDS) -> Iterator[Callable[[str], None]]:
    """Shows what is being done: at once on a terminal, elsewhere a line after some seconds."""
    last = time.monotonic()

    def tell(text: str) -> None:
        nonlocal last
        status.update(Text(text))
        if not console.is_terminal and time.monotonic() - last >= every:
            console.print(text, markup=False, highlight=False)
            last = time.monotonic()

    with console.status("reading") as status:
        yield tell
