"""Which hyperparameters the return depends on: fANOVA and PED-ANOVA with their intervals."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rl_eval.records.sweep import AxisRecord
from rl_eval.records.table import Row, Table, scores
from rl_eval.report.figures import images, styled
from rl_eval.report.page import Section
from rl_eval.report.sweep import importances_figure
from rl_eval.report.sweep.importances_figure import Shares, order
from rl_eval.report.sweep.summary import line
from rl_eval.stats.fanova import MOST
from rl_eval.stats.importance import FEW_TREES, MANY, TREES, importances
from rl_eval.stats.values import Column

# Trials below which shares are not shown: from 8 of the closed-form landscape the forest gave most
# to a hyperparameter without any effect, and the interval, which is of seeds, did not say so.
FEWEST = 32
REPEATS, FEW_REPEATS = 10, 5
NOTE = (
    "fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014): how much of the variance of the return "
    "over the whole space each hyperparameter explains by itself, as a share of what all of them "
    "so explain. PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023): what tells the best tenth of "
    "the trials, at least five, from all. Intervals are over redrawn seeds and forests, not over "
    "other trials. Diverged runs count at their stated score."
)
NOTE_MANY = (
    f"Above {MANY} trials an interval is of {FEW_REPEATS} draws in place of {REPEATS}, and a "
    f"forest of {FEW_TREES} trees in place of {TREES}, each of {MOST:,} trials at most."
)


Found = Mapping[tuple[str, str], Shares | None]
"""By environment and optimizer; None where there are too few trials."""


def of_table(table: Table, tell: Callable[[str], Any] = str) -> Found:
    """Importances for each environment and optimizer; slow, seconds each."""
    found: dict[tuple[str, str], Shares | None] = {}
    for (env, optimizer), rows in table.scored.items():
        tell(f"importances, {len(found) + 1} of {len(table.scored)}: {optimizer} in {env}")
        found[env, optimizer] = of_rows(rows, table.sweep.axes[optimizer])
    return found


def of_rows(rows: Sequence[Row], axes: Sequence[AxisRecord]) -> Shares | None:
    """Over the trials that have a score; None if these are too few."""
    scored = [row for row in rows if row.objective is not None]
    varied = [axis for axis in axes if len(axis.values) != 1]
    if len(scored) < FEWEST or not varied:
        return None
    columns = {}
    for axis in varied:
        values = [row.values[axis.key] for row in scored]
        columns[axis.key] = Column(values, axis.scale == "log", axis.scale == "choice")
    repeats = REPEATS if len(scored) <= MANY else FEW_REPEATS
    first, second = (np.random.default_rng(seed) for seed in (0, 1))
    return Shares(
        importances(columns, scores(scored), first, repeats=repeats),
        importances(columns, scores(scored), second, "ped-anova", repeats=repeats),
    )


def section(table: Table, found: Found) -> Section:
    """A figure, its numbers, and a word where there are too few trials."""
    shown = {key: shares for key, shares in found.items() if shares is not None}
    few = [f"{optimizer} in {env}" for (env, optimizer), shares in found.items() if not shares]
    parts = []
    if shown:
        with styled():
            words = "Importance of each hyperparameter"
            parts.append(images([(words, importances_figure.draw(table, shown))]))
        head = ("env", "optimizer", "hyperparameter", "fANOVA", "95 %", "PED-ANOVA", "95 %")
        rows = [line(head, "th")]
        for key, shares in shown.items():
            rows += _lines(*key, shares, table.axes)
        body = f'<div class="scroll"><table class="summary">{"".join(rows)}</table></div>'
        parts.append(f"<details><summary>the numbers</summary>{body}</details>")
        many = any(len(table.scored[key]) > MANY for key in shown)
        parts += [f"<p>{html.escape(text)}</p>" for text in ([NOTE, NOTE_MANY] if many else [NOTE])]
    if few:
        text = f"Fewer than {FEWEST} trials with a score tell too little: {', '.join(few)}."
        parts.append(f"<p>{html.escape(text)}</p>")
    return Section("importances", "Importance", "".join(parts))


def _lines(env: str, optimizer: str, found: Shares, axes: Sequence[AxisRecord]) -> list[str]:
    names = {axis.key: axis.name for axis in axes}
    rows = []
    for i in order(found):
        cells = [env, optimizer, names[found.fanova.names[i]]]
        for method in found:
            cells += [f"{method.mean[i]:.0%}", f"{method.low[i]:.0%} to {method.high[i]:.0%}"]
        rows.append(line(cells))
    return rows
