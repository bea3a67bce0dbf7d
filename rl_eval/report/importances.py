"""Which hyperparameters the return depends on: fANOVA shares with their intervals."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from rl_eval.report.page import Section
from rl_eval.report.summary import line
from rl_eval.report.sweep_record import AxisRecord
from rl_eval.report.table import Row, Table
from rl_eval.report.ticks import number
from rl_eval.stats.importance import Column, Importances, importances

FEWEST = 8  # trials from which a forest has anything to learn
REPEATS = 10
NOTE = (
    "How much of the variance of the return over the whole space each hyperparameter explains by "
    "itself, as a share of what all of them so explain: fANOVA (Hutter, Hoos and Leyton-Brown, "
    "ICML 2014). The interval is over redrawn seeds and forests, not over other trials. Diverged "
    "runs count at their stated score."
)


def section(table: Table) -> Section | None:
    """A table per environment and optimizer; None where there are too few trials."""
    lines = []
    for env in table.envs:
        for optimizer in table.optimizers:
            rows = [r for r in table.rows if (r.env, r.optimizer) == (env, optimizer)]
            found = of_rows(rows, table.sweep.axes[optimizer])
            if found is not None:
                lines += _lines(env, optimizer, found, table.axes)
    if not lines:
        return None
    head = line(("env", "optimizer", "hyperparameter", "share", "95 % interval"), "th")
    body = f'<div class="scroll"><table class="summary">{head}{"".join(lines)}</table></div>'
    return Section("importances", "Importance", f"{body}<p>{html.escape(NOTE)}</p>")


def of_rows(rows: Sequence[Row], axes: Sequence[AxisRecord]) -> Importances | None:
    """Importances by `AxisRecord.key` over the trials that have a score."""
    scored = [row for row in rows if row.objective is not None]
    varied = [axis for axis in axes if len(axis.values) != 1]
    if len(scored) < FEWEST or not varied:
        return None
    columns = {}
    for axis in varied:
        values = [row.values[axis.key] for row in scored]
        choice = axis.scale == "choice"
        columns[axis.key] = Column(
            list(map(number, values)) if choice else values, axis.scale == "log", choice
        )
    scores = np.array([[run.objective for run in row.seeds] for row in scored], np.float64)
    return importances(columns, scores, np.random.default_rng(0), repeats=REPEATS)


def _lines(env: str, optimizer: str, found: Importances, axes: Sequence[AxisRecord]) -> list[str]:
    """Rows of the table, the most important first."""
    names = {axis.key: axis.name for axis in axes}
    order = np.argsort(-found.mean, kind="stable")
    return [
        line(
            (
                env,
                optimizer,
                names[found.names[i]],
                f"{found.mean[i]:.0%}",
                f"{found.low[i]:.0%} to {found.high[i]:.0%}",
            )
        )
        for i in order
    ]
