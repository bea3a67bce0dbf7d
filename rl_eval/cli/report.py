"""`rl-eval report`: figures, page and table of a sweep or comparison, from its records alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_eval.records.comparison import FILE
from rl_eval.records.run import RecordError
from rl_eval.records.scored import Objective
from rl_eval.settings import SettingsError
from rl_eval.terminal import Console


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
    out = args.out or args.sweep / "report"
    compared = (args.sweep / FILE).is_file()
    way = _comparison if compared else _sweep
    try:
        problems, written = (way if args.export is None else _export)(args, out)
    except ImportError as error:
        raise SettingsError(f"{error}; reports need pip install 'rl-eval[sweeps]'") from None
    except OSError as error:
        raise RecordError(f"{error.filename}: {error.strerror}") from None
    console = Console(stderr=True)
    for problem in problems:
        console.print(f"left out: {problem}", highlight=False, soft_wrap=True, markup=False)
    for path in written:
        print(path)
    return 0


def _sweep(args: Report, out: Path) -> tuple[Sequence[str], Sequence[object]]:
    from rl_eval.records.table import read_table, write_csv

    table = read_table(args.sweep, args.objective)
    from rl_eval.report.sweep import page

    out.mkdir(parents=True, exist_ok=True)
    return table.problems, [write_csv(table, out / "trials.csv"), *page.render(table, out)]


def _export(args: Report, out: Path) -> tuple[Sequence[str], Sequence[object]]:
    from rl_eval.records.table import read_table
    from rl_eval.report.sweep import optuna_study

    assert args.export is not None
    table = read_table(args.sweep, args.objective)
    found = optuna_study.export(table, args.sweep.resolve().name, args.export[1])
    unended = [f"{found.left_out} trials that have not ended"] if found.left_out else []
    return [*table.problems, *unended], list(found.studies)


def _comparison(args: Report, out: Path) -> tuple[Sequence[str], Sequence[object]]:
    from rl_eval.report.comparison.scores import read_comparison

    comparison = read_comparison(args.sweep, args.objective)
    from rl_eval.report.comparison import page

    return comparison.problems, page.render(comparison, out)
