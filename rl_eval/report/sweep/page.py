"""The page of a sweep, every view of it in one file, and its figures in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl_eval.records.table import Table
from rl_eval.report.page import page
from rl_eval.report.sweep import (
    best_of_k,
    curves,
    importances,
    importances_figure,
    marginals,
    noise,
    pairs,
    pairs_figure,
    parcoords_figure,
    parcoords_page,
    protocol,
    response,
    sensitivity,
    summary,
)
from rl_eval.report.sweep.overview import extended

FIGURES = (parcoords_figure, response, marginals, pairs_figure, best_of_k, curves)
BEFORE = (parcoords_page, response, marginals, pairs)  # what is measured comes before what it means
AFTER = (best_of_k, curves)
OF_RUNS = (summary, noise, protocol)

Tell = Callable[[str], Any]
"""Is told what is done next."""


class Found(NamedTuple):
    """What takes long to compute and stands on the page and in figures."""

    importances: importances.Found
    sensitivity: sensitivity.Found


def render(table: Table, out_dir: Path, tell: Tell = str) -> list[Path]:
    """Write report.html, and PNG, SVG and PDF of all figures."""
    out_dir.mkdir(parents=True, exist_ok=True)
    whole = extended(table)
    found = analysed(table, tell)
    path = out_dir / "report.html"
    path.write_text(document(table, found, tell), encoding="utf-8")
    written = [path, *importances_figure.render(whole, found.importances, out_dir)]
    written += sensitivity.render(found.sensitivity, out_dir)
    for i, view in enumerate(FIGURES, 1):
        tell(f"figures, {i} of {len(FIGURES)}: {_name(view)}")
        written += view.render(whole, out_dir)
    return written


def write_page(table: Table, path: Path) -> Path:
    """Write the page alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(table, analysed(table)), encoding="utf-8")
    return path


def analysed(table: Table, tell: Tell = str) -> Found:
    """Importances of the extended table and sensitivities."""
    whole = extended(table)
    shares = importances.of_table(whole, tell)
    tell("sensitivity")
    return Found(shares, sensitivity.of_table(table))


def document(table: Table, found: Found, tell: Tell = str) -> str:
    """The page."""
    whole = extended(table)
    sections = [
        *_sections(BEFORE, whole, tell),
        importances.section(whole, found.importances),
        sensitivity.section(table, found.sensitivity),
        *_sections(AFTER, whole, tell),
        *_sections(OF_RUNS, table, tell),
    ]
    title = table.sweep.description or table.sweep.preset or "Sweep"
    return page(title, [section for section in sections if section is not None])


def _sections(views: Sequence[Any], table: Table, tell: Tell) -> list[Any]:
    found = []
    for view in views:
        tell(f"page: {_name(view)}")
        found.append(view.section(table))
    return found


def _name(view: Any) -> str:
    return view.__name__.rpartition(".")[2].replace("_", " ")
