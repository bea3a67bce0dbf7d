"""How a comparison came out, for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rl_eval.cli.exits import DIVERGED, DONE, FAILED
from rl_eval.report.comparison.estimates import aggregates, finals, improvements, plain
from rl_eval.report.comparison.scores import Comparison
from rl_eval.report.comparison.tables import ranged
from sweeps.comparing import Comparison as Compared


def report(compared: Compared, console: Console) -> tuple[int, dict[str, Any]]:
    """Write the page, show the table; exit code and what --json prints."""
    comparison, out = compared.scores, compared.path
    summary = {"compare_dir": str(out), **summarised(comparison)}
    console.print(_table(comparison, out))
    for problem in comparison.problems:
        console.print(f"left out: {problem}", highlight=False, soft_wrap=True, markup=False)
    try:
        page = compared.report()
        console.print(str(page), highlight=False, soft_wrap=True)
    except ImportError as error:
        text = f"{error}; the page needs pip install 'rl-eval[sweeps]', then rl-eval report {out}"
        console.print(text, highlight=False, soft_wrap=True, markup=False)
    if summary["failed"]:
        again = f"rl-eval compare --resume {out} --retry-failed runs what failed once more"
        console.print(again, highlight=False, soft_wrap=True)
        return FAILED, summary
    return DIVERGED if summary["diverged"] == summary["runs"] else DONE, summary


def summarised(comparison: Comparison) -> dict[str, Any]:
    """Counts and estimates, each as [estimate, low, high]."""
    rows, found = comparison.table.rows, aggregates(comparison)
    statuses = ("completed", "diverged", "failed")
    final = finals(comparison)
    return {
        "baseline": comparison.record.baseline,
        "runs": sum(len(row.seeds) for row in rows),
        **{status: sum(row.count(status) for row in rows) for status in statuses},
        "groups": [
            {
                "env": row.env,
                "optimizer": row.optimizer,
                "trial": row.id,
                "runs": len(row.seeds),
                **{status: row.count(status) for status in statuses},
                "mean": (mean := final[row.env, row.optimizer].mean) and plain(mean),
            }
            for row in rows
        ],
        "aggregates": {
            name: {kind: plain(value) for kind, value in values.items()}
            for name, values in found.values.items()
        },
        "probability_of_improvement": {
            name: plain(value) for name, value in improvements(comparison).items()
        },
    }


def _table(comparison: Comparison, out: Path) -> Table:
    shown = Table(title=str(out))
    columns = ("env", "optimizer", "runs", "diverged", "failed", "mean score [95 %]")
    for column in columns:
        side: Any = "left" if column in ("env", "optimizer") else "right"
        shown.add_column(column, justify=side, overflow="fold")
    for (env, name), final in finals(comparison).items():
        row = comparison.row(env, name)
        counts = [str(row.count(status)) for status in ("diverged", "failed")]
        mean = ranged(final.mean, len(final.scores))
        shown.add_row(env, name, str(len(row.seeds)), *counts, mean)
    return shown
