"""Heat maps of pairs of hyperparameters as a printed figure, one per environment, optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_eval.records.table import Table
from rl_eval.report.figures import save, shortened, styled, wrapped
from rl_eval.report.palette import EMPTY, INK, RETURNS
from rl_eval.report.sweep.columns import Column, columns, scored
from rl_eval.report.sweep.overview import worth
from rl_eval.report.sweep.pairs import parts
from rl_eval.report.sweep.parcoords import Plot, PlotLine, build

STEP = 1.1  # from one panel to the next, of which each is 1 wide
MOST = 8  # hyperparameters in a figure; the page has any pair


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write pairs-<optimizer>-<env>.png, .svg and .pdf."""
    written = []
    with styled():
        for env in table.envs:
            plot = build(table, env)
            for name in table.optimizers:
                lines = scored(plot, name)
                if len(found := columns(plot, lines)) > 1:
                    kept = telling(found, lines)
                    title = f"{name}, {env}"
                    if len(kept) < len(found):
                        title += f": the {len(kept)} of {len(found)} hyperparameters that tell most"
                    figure = _draw(plot, lines, kept, title, worth(table, env))
                    written += save(figure, out_dir, f"pairs-{name}-{env}")
    return written


def telling(found: Sequence[Column], lines: Sequence[PlotLine]) -> list[Column]:
    """At most `MOST`: those over whose parts the mean score varies most, in their own order."""
    if len(found) <= MOST:
        return list(found)
    most = parts(len(lines))
    score = _scores(lines)
    spread = []
    for column in found:
        own, count = column.bins(most) + 1, column.count(most) + 1
        trials = np.bincount(own, minlength=count)
        mean = np.bincount(own, score, minlength=count) / np.maximum(trials, 1)
        spread.append(float(trials @ (mean - score.mean()) ** 2))
    best = sorted(np.argsort(spread)[-MOST:].tolist())
    return [found[i] for i in best]


def cells(across: Column, up: Column, lines: Sequence[PlotLine]) -> Float[np.ndarray, "up across"]:
    """Mean score of the trials in each cell, NaN without one. What is off a scale is left out."""
    most = parts(len(lines))
    shape = up.count(most), across.count(most)
    i, j = up.bins(most), across.bins(most)
    kept = (i >= 0) & (j >= 0)
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (i[kept], j[kept]), _scores(lines)[kept])
    np.add.at(count, (i[kept], j[kept]), 1)
    return np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)


def _scores(lines: Sequence[PlotLine]) -> Float[np.ndarray, " line"]:
    return np.array([line.row.objective for line in lines], np.float64)


def _draw(
    plot: Plot, lines: Sequence[PlotLine], found: Sequence[Column], title: str, what: str
) -> Any:
    """One set of axes for all panels: a set each would take most of the time of a report."""
    from matplotlib import colormaps
    from matplotlib.collections import PatchCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    size = len(found) - 1
    side = 1.15 * size
    width, height = side + 2.05, side + 1.5
    figure = Figure(figsize=(width, height))
    bottom = 0.9 / height
    panel = figure.add_axes(
        (1.0 / width, bottom, 1 - 2.05 / width, 1 - 0.6 / height - bottom), frame_on=False
    )
    colours = colormaps[RETURNS].with_extremes(bad=EMPTY)
    frames = []
    for row, up in enumerate(found[1:]):
        for column, across in enumerate(found[: row + 1]):
            left, foot = column * STEP, (size - 1 - row) * STEP
            frames.append(Rectangle((left, foot), 1, 1))
            means = np.ma.masked_invalid(cells(across, up, lines))
            x, y = (np.linspace(0, 1, n + 1) for n in reversed(means.shape))
            drawn = panel.pcolormesh(
                left + x, foot + y, means, cmap=colours, vmin=plot.low, vmax=plot.high, zorder=2
            )
    panel.add_collection(
        PatchCollection(frames, facecolors=EMPTY, edgecolors=INK, linewidths=0.6, zorder=1)
    )
    _label(panel, found[:-1], found[1:])
    bar = figure.colorbar(drawn, cax=figure.add_axes((1 - 0.8 / width, bottom, 0.12 / width, 0.5)))
    bar.set_label(f"{what}, mean of the trials in a cell")
    figure.suptitle(
        wrapped(title, round(11 * width)), x=0.02, ha="left", fontsize=9, fontweight="bold"
    )
    return figure


def _label(panel: Any, across: Sequence[Column], up: Sequence[Column]) -> None:
    """Ticks and names below the columns and beside the rows, of which the first is at the top."""
    size = len(across)
    end = size * STEP - (STEP - 1)
    panel.set(xlim=(0, end), ylim=(0, end))
    panel.tick_params(labelsize=6)
    for axis, found in ((panel.xaxis, across), (panel.yaxis, up[::-1])):
        ticks = [(i * STEP + at, text) for i, c in enumerate(found) for at, text in _ticks(c)]
        axis.set_ticks([at for at, _ in ticks], [text for _, text in ticks])
    for text in panel.get_xticklabels():
        text.set_rotation(90)
    inches = panel.figure.get_size_inches() * panel.get_position().size
    look: Any = {"fontsize": 7, "linespacing": 0.9}
    for i, column in enumerate(across):
        place = (i * STEP + 0.5, -0.72 * end / inches[1])
        panel.text(*place, _name(column), ha="center", va="center", **look)
    for i, column in enumerate(up[::-1]):
        place = (-0.8 * end / inches[0], i * STEP + 0.5)
        panel.text(*place, _name(column), ha="center", va="center", rotation=90, **look)


def _name(column: Column) -> str:
    """In two lines."""
    return wrapped(shortened(column.axis.label, 30), 17)


def _ticks(column: Column) -> list[tuple[float, str]]:
    """At most six, so that they have room."""
    every = -(-len(column.axis.ticks) // 6)
    return [(height, shortened(text, 9)) for height, text in column.axis.ticks[::every]]
