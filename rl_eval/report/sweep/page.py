"""The page of a sweep, every view of it in one file, and its figures in files of their own."""

from __future__ import annotations

from pathlib import Path

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


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write report.html, and PNG, SVG and PDF of all figures."""
    out_dir.mkdir(parents=True, exist_ok=True)
    whole = extended(table)
    found = importances.of_table(whole)
    path = out_dir / "report.html"
    path.write_text(document(table, found), encoding="utf-8")
    written = [path, *importances_figure.render(whole, found, out_dir)]
    written += sensitivity.render(table, out_dir)
    return written + [file for view in FIGURES for file in view.render(whole, out_dir)]


def write_page(table: Table, path: Path) -> Path:
    """Write the page alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(table, importances.of_table(extended(table))), encoding="utf-8")
    return path


def document(table: Table, found: importances.Found) -> str:
    """The page; `found` are the importances of the extended table."""
    whole = extended(table)
    sections = (
        parcoords_page.section(whole),
        response.section(whole),
        marginals.section(whole),
        pairs.section(whole),
        importances.section(whole, found),
        sensitivity.section(table),
        best_of_k.section(whole),
        curves.section(whole),
        summary.section(table),
        noise.section(table),
        protocol.section(table),
    )
    title = table.sweep.description or table.sweep.preset or "Sweep"
    return page(title, [section for section in sections if section is not None])
