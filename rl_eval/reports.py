"""`rl_eval.report`: figures, page and table of a sweep or comparison, from its records alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rl_eval.records.comparison import FILE
from rl_eval.records.run import RecordError
from rl_eval.records.scored import Objective
from rl_eval.settings import SettingsError

Tell = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class Written:
    """Files of a report, the page among them, or studies that were exported.

    `problems`: what of the records could not be read and was left out.
    """

    files: tuple[object, ...]
    problems: tuple[str, ...]


def report(
    directory: str | Path,
    *,
    out: str | Path | None = None,
    objective: Objective = "final",
    optuna: str | None = None,
    tell: Tell = str,
) -> Written:
    """Draw a sweep or comparison: a page that opens offline, PNG, SVG and PDF figures, a CSV.

    Args:
        out: where the files go. Default the sub-directory report.
        objective: a run's final return, the area under its curve, or its best checkpoint.
        optuna: instead of drawing, write studies to this storage, such as sqlite:///study.db.
        tell: is told what is done next, in words.

    Raises:
        SettingsError: a part of `pip install 'rl-eval[sweeps]'` is missing.
        RecordError: no sweep or comparison is there, or the disk refuses.
    """
    folder = Path(directory)
    target = Path(out) if out is not None else folder / "report"
    try:
        if optuna is not None:
            return _exported(folder, objective, optuna)
        compared = (folder / FILE).is_file()
        if compared:
            return _comparison(folder, objective, target)
        return _sweep(folder, objective, target, tell)
    except ImportError as error:
        raise SettingsError(f"{error}; reports need pip install 'rl-eval[sweeps]'") from None
    except OSError as error:
        raise RecordError(f"{error.filename}: {error.strerror}") from None


def _sweep(folder: Path, objective: Objective, out: Path, tell: Tell) -> Written:
    from rl_eval.records.table import read_table, write_csv

    table = read_table(folder, objective, tell)
    from rl_eval.report.sweep import page

    out.mkdir(parents=True, exist_ok=True)
    files = (write_csv(table, out / "trials.csv"), *page.render(table, out, tell))
    return Written(files, tuple(table.problems))


def _exported(folder: Path, objective: Objective, storage: str) -> Written:
    from rl_eval.records.table import read_table
    from rl_eval.report.sweep import optuna_study

    table = read_table(folder, objective)
    found = optuna_study.export(table, folder.resolve().name, storage)
    unended: Sequence[str] = (
        [f"{found.left_out} trials that have not ended"] if found.left_out else []
    )
    return Written(tuple(found.studies), (*table.problems, *unended))


def _comparison(folder: Path, objective: Objective, out: Path) -> Written:
    from rl_eval.report.comparison import page
    from rl_eval.report.comparison.scores import read_comparison

    comparison = read_comparison(folder, objective)
    return Written(tuple(page.render(comparison, out)), tuple(comparison.problems))
