"""Learning curves of the best, the median and the worst trial of each optimizer."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.records.table import Row, Table
from rl_eval.report.figures import images, save, styled, wrapped
from rl_eval.report.page import Section
from rl_eval.report.palette import COLOURS, INK
from rl_eval.report.sweep.overview import ALL, worth
from rl_eval.report.sweep.summary import line
from rl_eval.report.ticks import number

LETTERS = 36  # of a title beside another
LOOKS: dict[str, dict[str, Any]] = {
    "best": {"color": COLOURS[4], "ls": "solid"},
    "median": {"color": COLOURS[2], "ls": (0, (5, 1.5))},
    "worst": {"color": INK, "ls": (0, (1, 1.2))},
}
NOTE = (
    "Thick: mean over seeds, thin: each seed. A curve that ends at a cross diverged. The best "
    "trial was chosen by the scores it is shown with, so a new run of it may well do worse."
)


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write curves-<env>.png, .svg and .pdf for each environment."""
    with styled():
        return [p for env, f in _figures(table) for p in save(f, out_dir, f"curves-{env}")]


def section(table: Table) -> Section | None:
    """The figures of all environments and the settings of what they show."""
    with styled():
        body = images((f"Learning curves, {env}", figure) for env, figure in _figures(table))
    if not body:
        return None
    title = "The best, the median and the worst trial"
    return Section("curves", title, f"{body}<p>{html.escape(NOTE)}</p>{_settings(table)}")


def chosen(table: Table, env: str, optimizer: str) -> dict[str, Row]:
    """By "best", "median" and "worst"; fewer than three trials with a score have no median."""
    rows = table.scored[env, optimizer]
    if not rows:
        return {}
    picked = {"best": rows[-1]}
    if len(rows) > 2:
        picked["median"] = rows[len(rows) // 2]
    if len(rows) > 1:
        picked["worst"] = rows[0]
    return picked


def _figures(table: Table) -> Iterator[tuple[str, Any]]:
    for env in table.envs:
        found = {name: chosen(table, env, name) for name in table.optimizers}
        runs = [run for rows in found.values() for row in rows.values() for run in row.seeds]
        if any(run.curve.returns for run in runs):
            yield env, _draw(env, found, worth(table, env))


def _draw(env: str, found: dict[str, dict[str, Row]], what: str) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

    figure = Figure(figsize=(0.4 + 2.8 * len(found), 2.8), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for panel, (optimizer, rows) in zip(panels, found.items(), strict=True):
        panel.set_visible(bool(rows))
        for place, row in rows.items():
            _curves(panel, row, LOOKS[place], f"{place}: {number(row.objective)}")
        panel.set_title(
            wrapped(f"{env}, {optimizer}", LETTERS), loc="left", fontsize=9, fontweight="bold"
        )
        panel.set_xlabel("agent steps")
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        panel.spines[["top", "right"]].set_visible(False)
        if not rows:
            continue
        panel.legend(frameon=False, fontsize=7, title=what, title_fontsize=7)
    panels[0].set_ylabel("return, normalised" if env == ALL else "return")
    return figure


def _curves(panel: Any, row: Row, look: dict[str, Any], label: str) -> None:
    curves = [run.curve for run in row.seeds if run.curve.returns]
    for run in row.seeds:
        steps, returns = run.curve.env_steps, run.curve.returns
        panel.plot(steps, returns, color=look["color"], lw=0.6, alpha=0.6)
        if run.status == "diverged" and returns:
            panel.plot(steps[-1], returns[-1], "x", color=look["color"], ms=5)
    if len(curves) == len(row.seeds) and len({curve.env_steps for curve in curves}) == 1:
        mean = np.mean([curve.returns for curve in curves], axis=0)
        panel.plot(curves[0].env_steps, mean, **look, lw=1.8, label=label)
    else:
        panel.plot([], [], **look, lw=1.8, label=label)


def _settings(table: Table) -> str:
    """A table of the hyperparameters of all that is drawn."""
    names = [axis.name for axis in table.axes]
    lines = [line(("env", "optimizer", "", "score", *names, "trial"), "th")]
    for env in table.envs:
        for optimizer in table.optimizers:
            for place, row in chosen(table, env, optimizer).items():
                values = [row.values.get(axis.key, "-") for axis in table.axes]
                cells = (env, optimizer, place, number(row.objective), *map(number, values))
                lines.append(line((*cells, row.id)))
    return f'<div class="scroll"><table class="summary">{"".join(lines)}</table></div>'
