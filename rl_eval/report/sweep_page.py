"""The page of a sweep: every view of it in one file."""

from __future__ import annotations

from pathlib import Path

from rl_eval.report import importances, parcoords_page, response, summary
from rl_eval.report.page import page
from rl_eval.report.table import Table


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write report.html."""
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "report.html"
    title = table.sweep.description or table.sweep.preset or "Sweep"
    views = (parcoords_page, response, importances, summary)
    sections = [view.section(table) for view in views]
    text = page(title, [section for section in sections if section is not None])
    path.write_text(text, encoding="utf-8")
    return [path]
