"""Return over any two hyperparameters: a heat map whose pair the reader chooses.

The page has each trial once, in the data of the parallel coordinates; here are the numbers of its
lines and the parts of the axes they lie in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rl_eval.records.table import Table
from rl_eval.report.page import Section, asset
from rl_eval.report.palette import shades
from rl_eval.report.sweep.columns import columns, scored
from rl_eval.report.sweep.parcoords import Plot, PlotAxis, PlotLine, build

IN_A_CELL = 3  # trials, more or less, if they lay evenly
MOST = 10  # parts of an axis
NOTE = (
    "The colour of a cell is the mean of its trials, whatever their other hyperparameters were; "
    "each trial is a dot of its own colour. Grey: no trial. Where dots differ much within a cell, "
    "what matters is something else."
)
HINT = "Point at a cell or a dot for its numbers."


def section(table: Table) -> Section | None:
    """The view; None where fewer than two hyperparameters were varied."""
    plots = [found for env in table.envs if (found := _plot(table, env)) is not None]
    if not plots:
        return None
    return Section(
        name="pairs",
        title="Two hyperparameters at once",
        body=f"{asset('pairs.html')}<p>{NOTE}</p>",
        data={"plots": plots, "colours": shades(33), "hint": HINT},
        style=asset("pairs.css"),
        script=asset("pairs.js"),
    )


def parts(trials: int) -> int:
    """Into how many an axis of a range is cut."""
    return max(3, min(MOST, math.isqrt(trials // IN_A_CELL)))


def _plot(table: Table, env: str) -> dict[str, Any] | None:
    plot = build(table, env)
    lines = {name: scored(plot, name) for name in table.optimizers}
    at = {line.row.id: i for i, line in enumerate(plot.lines)}
    keys = {c.axis.key for own in lines.values() for c in columns(plot, own)}
    axes = [axis for axis in plot.axes if axis.key in keys]
    if len(axes) < 2:
        return None
    shared = [i for i, axis in enumerate(axes) if not axis.key.startswith("optimizer.")]
    return {
        "env": env,
        "plot": table.envs.index(env),
        "low": plot.low,
        "high": plot.high,
        "first": [0, shared[0] if shared and shared[0] > 0 else 1],
        "axes": [
            {"key": a.key, "label": a.label, "off_scale": a.off_scale, "at": plot.axes.index(a)}
            for a in axes
        ],
        "panels": [_panel(plot, name, own, axes, at) for name, own in lines.items()],
    }


def _panel(
    plot: Plot,
    optimizer: str,
    lines: Sequence[PlotLine],
    axes: Sequence[PlotAxis],
    at: Mapping[str, int],
) -> dict[str, Any]:
    """The trials of an optimizer as numbers of lines; an axis that it lacks has no parts."""
    found = {column.axis.key: column for column in columns(plot, lines)}
    most = parts(len(lines))
    own = [found.get(axis.key) for axis in axes]
    return {
        "optimizer": optimizer,
        "counts": [column.count(most) if column else 0 for column in own],
        "lines": [at[line.row.id] for line in lines],
        "bins": [column.bins(most).tolist() if column else [] for column in own],
    }
