"""Return against learning rate, one line an optimizer, whatever the other hyperparameters were."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.records.scored import OBJECTIVES
from rl_eval.records.table import Table, scores
from rl_eval.report.figures import images, save, styled
from rl_eval.report.page import Section
from rl_eval.report.palette import inks
from rl_eval.report.sweep.overview import worth
from rl_eval.report.ticks import number
from rl_eval.stats.landscape import Marginal, marginal

LEVEL = 0.5
NOTE = (
    "Median and middle half of the runs at each learning rate (of ten bins where there are more). "
    "Diverged runs count at their stated score. Where other hyperparameters were varied too, the "
    "band holds them as well as the seeds."
)


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write learning-rate-<env>.png, .svg and .pdf for each environment that has one."""
    out_dir.mkdir(parents=True, exist_ok=True)
    with styled():
        return [
            path
            for env, figure in _figures(table)
            for path in save(figure, out_dir, f"learning-rate-{env}")
        ]


def section(table: Table) -> Section | None:
    """The figures of all environments; None if no learning rate was varied."""
    with styled():
        body = images((f"Return against learning rate, {env}", f) for env, f in _figures(table))
    title = f"Learning rate and {OBJECTIVES[table.objective]}"
    return Section("response", title, f"{body}<p>{html.escape(NOTE)}</p>") if body else None


def responses(table: Table, env: str) -> dict[str, Marginal]:
    """By optimizer: those that have learning rates and scores in an environment."""
    found = {}
    for optimizer in table.optimizers:
        key = table.sweep.learning_rate_key(optimizer)
        if key is None:
            continue
        # JSON may say 3 for 3.0.
        rows = [
            row for row in table.scored[env, optimizer] if type(row.values.get(key)) in (int, float)
        ]
        if rows:
            rates = np.array([row.values[key] for row in rows], np.float64)
            found[optimizer] = marginal(rates, scores(rows), log=True, level=LEVEL)
    return found


def _figures(table: Table) -> list[tuple[str, Any]]:
    drawn = [(env, responses(table, env)) for env in table.envs]
    return [(env, _draw(env, table, found)) for env, found in drawn if found]


def _draw(env: str, table: Table, found: dict[str, Marginal]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.0), layout="constrained")
    panel = figure.subplots()
    for optimizer, line in found.items():
        look = inks(table.optimizers)[optimizer]
        panel.fill_between(line.value, line.low, line.high, color=look.colour, alpha=0.18, lw=0)
        label = f"{optimizer} ({line.runs.sum()} runs)"
        panel.plot(line.value, line.median, **look.line, ms=3.5, lw=1.2, label=label)
    panel.set(xscale="log", xlabel="learning rate", ylabel=worth(table, env))
    panel.xaxis.set_major_formatter(lambda value, _: number(float(value)))
    panel.xaxis.set_minor_formatter(lambda value, _: "")
    panel.set_title(env, loc="left", fontsize=9, fontweight="bold")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=7)
    return figure
