"""Heat maps of all pairs of hyperparameters as a printed figure, one per environment, optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_eval.records.table import Table
from rl_eval.report.figures import save, styled
from rl_eval.report.palette import EMPTY, RETURNS
from rl_eval.report.sweep.columns import Column, columns, scored
from rl_eval.report.sweep.overview import worth
from rl_eval.report.sweep.pairs import parts
from rl_eval.report.sweep.parcoords import Plot, PlotLine, build


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write pairs-<optimizer>-<env>.png, .svg and .pdf."""
    written = []
    with styled():
        for env in table.envs:
            plot = build(table, env)
            for name in table.optimizers:
                lines = scored(plot, name)
                if len(found := columns(plot, lines)) > 1:
                    figure = _draw(plot, lines, found, f"{name}, {env}", worth(table, env))
                    written += save(figure, out_dir, f"pairs-{name}-{env}")
    return written


def cells(across: Column, up: Column, lines: Sequence[PlotLine]) -> Float[np.ndarray, "up across"]:
    """Mean score of the trials in each cell, NaN without one. What is off a scale is left out."""
    most = parts(len(lines))
    shape = up.count(most), across.count(most)
    i, j = up.bins(most), across.bins(most)
    kept = (i >= 0) & (j >= 0)
    worth = np.array([line.row.objective for line in lines], np.float64)
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (i[kept], j[kept]), worth[kept])
    np.add.at(count, (i[kept], j[kept]), 1)
    return np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)


def _draw(
    plot: Plot, lines: Sequence[PlotLine], found: Sequence[Column], title: str, what: str
) -> Any:
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    size = len(found) - 1
    side = 1.15 * size
    figure = Figure(figsize=(side + 1.9, side + 1.2))
    panels = figure.subplots(size, size, squeeze=False)
    edges = {"left": 0.85 / (side + 1.9), "bottom": 0.75 / (side + 1.2)}
    ends = {"right": 1 - 1.05 / (side + 1.9), "top": 1 - 0.45 / (side + 1.2)}
    figure.subplots_adjust(**edges, **ends, wspace=0.12, hspace=0.12)
    colours = colormaps[RETURNS].with_extremes(bad=EMPTY)
    limits = {"vmin": plot.low, "vmax": plot.high}
    for row, up in enumerate(found[1:]):
        for column, across in enumerate(found[:-1]):
            panel = panels[row, column]
            if column > row:
                panel.set_visible(False)
                continue
            means = np.ma.masked_invalid(cells(across, up, lines))
            grid = [np.linspace(0, 1, n + 1) for n in reversed(means.shape)]
            drawn = panel.pcolormesh(*grid, means, cmap=colours, **limits)
            _label(panel, across, up, bottom=row == size - 1, left=column == 0)
    figure.align_labels()
    place = (1 - 0.8 / (side + 1.9), edges["bottom"], 0.12 / (side + 1.9), 0.5)
    bar = figure.colorbar(drawn, cax=figure.add_axes(place))
    bar.set_label(f"{what}, mean of the trials in a cell")
    figure.suptitle(title, x=0.02, ha="left", fontsize=9, fontweight="bold")
    return figure


def _label(panel: Any, across: Column, up: Column, *, bottom: bool, left: bool) -> None:
    panel.set_facecolor(EMPTY)
    panel.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    panel.tick_params(labelsize=6)
    if bottom:
        panel.set_xticks(*_ticks(across), rotation=90)
        panel.set_xlabel(across.axis.label)
    if left:
        panel.set_yticks(*_ticks(up))
        panel.set_ylabel(up.axis.label)


def _ticks(column: Column) -> tuple[list[float], list[str]]:
    """At most six, so that they have room."""
    every = -(-len(column.axis.ticks) // 6)
    kept = column.axis.ticks[::every]
    return [height for height, _ in kept], [text for _, text in kept]
