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

# Trials below which shares are not shown: from 8 of the closed-form landscape the forest gave most
# to a hyperparameter without any effect, and the interval, which is of seeds, did not say so.
FEWEST = 32
REPEATS = 10
NOTE = (
    "How much of the variance of the return over the whole space each hyperparameter explains by "
    "itself, as a share of what all of them so explain: fANOVA (Hutter, Hoos and Leyton-Brown, "
    "ICML 2014). The interval is over redrawn seeds and forests, not over other trials. Diverged "
    "runs count at their stated score."
)


def section(table: Table) -> Section:
    """Rows for each environment and optimizer, or a word where there are too few trials."""
    lines, few = [], []
    for env in table.envs:
        for optimizer in table.optimizers:
            rows = [r for r in table.rows if (r.env, r.optimizer) == (env, optimizer)]
            found = of_rows(rows, table.sweep.axes[optimizer])
            if found is None:
                few.append(f"{optimizer} in {env}")
            else:
                lines += _lines(env, optimizer, found, table.axes)
    words = [NOTE] if lines else []
    if few:
        words.append(f"Fewer than {FEWEST} trials with a score tell too little: {', '.join(few)}.")
    head = line(("env", "optimizer", "hyperparameter", "share", "95 % interval"), "th")
    body = f'<div class="scroll"><table class="summary">{head}{"".join(lines)}</table></div>'
    parts = [body] if lines else []
    parts += [f"<p>{html.escape(text)}</p>" for text in words]
    return Section("importances", "Importance", "".join(parts))


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
