"""The parallel coordinates as a printed figure: PNG, SVG and PDF, one per environment.

One panel per optimizer over the same axes and colours. To the right of the return axis are the
trials in order of return with the range of their seeds, so that noise can be judged.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.records.table import Table, scores
from rl_eval.report.figures import MANY, save, shortened, styled, wrapped
from rl_eval.report.palette import INK, NO_SCORE, PALE, RETURNS
from rl_eval.report.sweep.parcoords import OFF_SCALE, Plot, PlotAxis, PlotLine, build
from rl_eval.report.ticks import share


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write parallel-coordinates-<env>.png, .svg and .pdf for each environment."""
    out_dir.mkdir(parents=True, exist_ok=True)
    written = []
    with styled():
        for env in table.envs:
            figure = draw(build(table, env), table.optimizers)
            written += save(figure, out_dir, f"parallel-coordinates-{env}")
    return written


def draw(plot: Plot, optimizers: Sequence[str]) -> Any:
    """A matplotlib figure of a plot."""
    from matplotlib.figure import Figure

    skip = 1 if len(optimizers) > 1 else 0  # a panel per optimizer needs no optimizer axis
    width = max(6.5, 1.05 * (len(plot.axes) - skip) + 1.7)
    figure = Figure(figsize=(width, 2.9 * len(optimizers) + 0.2), layout="constrained")
    tallest = max(wrapped(axis.label, 14).count("\n") + 1 for axis in plot.axes)
    panels = figure.subplots(len(optimizers), 1, squeeze=False)[:, 0]
    for panel, optimizer in zip(panels, optimizers, strict=True):
        lines = [line for line in plot.lines if line.row.optimizer == optimizer]
        shown = _some(lines)
        _panel(panel, plot, shown, skip)
        text = f"{optimizer}, {plot.env}: {len(lines)} trials"
        if len(shown) < len(lines):
            text += f", of which {len(shown)} are drawn, evenly from the worst to the best"
        pad = 53 + 9 * (tallest - 1)
        panel.set_title(wrapped(text, 100), loc="left", pad=pad, fontsize=9, fontweight="bold")
    if text := note(plot):
        figure.supxlabel(text, fontsize=7, color=PALE, x=0.01, ha="left")
    return figure


def _some(lines: Sequence[PlotLine]) -> list[PlotLine]:
    """At most `MANY`, the first and the last among them: more are a blot, and have no end."""
    if len(lines) <= MANY:
        return list(lines)
    return [lines[round(i * (len(lines) - 1) / (MANY - 1))] for i in range(MANY)]


def note(plot: Plot) -> str:
    """What the axes do not say."""
    parts = [f"fixed: {', '.join(plot.fixed)}"] if plot.fixed else []
    if plot.clipped:
        parts.append(f"{plot.clipped} trials beyond the last axis are drawn at its end")
    return "; ".join(parts)


def _panel(panel: Any, plot: Plot, lines: Sequence[PlotLine], skip: int) -> None:
    """One optimizer. An axis that it has no values on leaves its place empty."""
    used = [i for i in range(skip, len(plot.axes)) if _is_used(plot, lines, i)]
    _lines(panel, [[(float(i - skip), line.heights[i]) for i in used] for line in lines], lines)
    for i in used:
        off = any(line.heights[i] == OFF_SCALE for line in lines)
        _axis(panel, i - skip, plot.axes[i], off)
    last = len(plot.axes) - skip - 1
    _colours(panel, last)
    _seeds(panel, plot, lines, last)
    lowest = min((line.heights[i] for i in used for line in lines), default=0.0)
    panel.set(xlim=(-0.45, last + 1.35), ylim=(min(lowest, 0.0) - 0.04, 1.04))
    panel.axis("off")


def _is_used(plot: Plot, lines: Sequence[PlotLine], axis: int) -> bool:
    last = len(plot.axes) - 1
    return axis == last or any(line.heights[axis] != OFF_SCALE for line in lines)


def _lines(
    panel: Any, points: Sequence[Sequence[tuple[float, float]]], lines: Sequence[PlotLine]
) -> None:
    """A smooth curve for each line; a light one gets a dark edge to stand on white paper."""
    from matplotlib import colormaps
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_rgba

    curves, colours, widths, dashes = [], [], [], []
    for line, corners in zip(lines, points, strict=True):
        shade = 0.0 if line.shade is None else line.shade
        colour = NO_SCORE if line.shade is None else colormaps[RETURNS](shade)
        whole = line.row.count("completed") == len(line.row.seeds)
        curves += [_curve(corners)] * 2
        colours += [to_rgba(INK, 0.6 * shade), to_rgba(colour, 0.5 + 0.5 * shade)]
        widths += [0.9 + 0.9 * shade, 0.5 + 0.6 * shade]
        dashes += ["solid", "solid" if whole else (0, (3, 1.5))]
    looks: Any = {"edgecolors": colours, "linewidths": widths, "linestyles": dashes}
    under: Any = {"capstyle": "round", "zorder": 10, "facecolors": "none"}
    panel.add_collection(PathCollection(curves, **looks, **under))


def _curve(points: Sequence[tuple[float, float]]) -> Any:
    from matplotlib.path import Path as Curve

    corners, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        third = (x1 - x0) / 3
        corners += [(x0 + third, y0), (x1 - third, y1), (x1, y1)]
        codes += [Curve.CURVE4] * 3
    return Curve(corners, codes)


def _axis(panel: Any, x: int, axis: PlotAxis, off_scale: bool) -> None:
    from matplotlib import patheffects

    panel.plot([x, x], [0, 1], color=INK, lw=0.8, zorder=2000)
    help_text = textwrap.fill(axis.help, 20)
    panel.text(x, 1.06, help_text, ha="center", va="bottom", fontsize=5.5, color=PALE)
    name = wrapped(axis.label, 14)
    panel.text(x, 1.28, name, ha="center", va="bottom", color=INK, linespacing=0.9)
    halo = patheffects.withStroke(linewidth=2, foreground="white", alpha=0.85)
    below = ((OFF_SCALE, axis.off_scale),) if off_scale else ()
    for height, text in (*axis.ticks, *below):
        panel.plot([x - 0.025, x + 0.025], [height, height], color=INK, lw=0.8, zorder=2000)
        label = panel.text(
            x + 0.05, height, shortened(text, 14), va="center", fontsize=6.5, zorder=2001
        )
        label.set(color=INK, path_effects=[halo])


def _colours(panel: Any, x: int) -> None:
    """The colour map along the return axis."""
    edges = [i / 64 for i in range(65)]
    shades = [[(a + b) / 2] for a, b in itertools.pairwise(edges)]
    strip = [x - 0.035, x]
    panel.pcolormesh(strip, edges, shades, cmap=RETURNS, edgecolors="face", lw=0.1, zorder=1999)


def _seeds(panel: Any, plot: Plot, lines: Sequence[PlotLine], last: int) -> None:
    """The range of each trial's seeds, in order of the mean."""
    shown = [line for line in lines if line.shade is not None]
    if not shown:
        return
    x = last + 0.45 + 0.8 * (np.arange(len(shown)) + 0.5) / len(shown)
    ends = [
        [share(end, plot.low, plot.high) for end in (min(own), max(own))]
        for own in scores([line.row for line in shown]).tolist()
    ]
    low, high = np.clip(np.transpose(ends), -0.02, 1.02)
    shades = np.array([line.shade for line in shown], np.float64)
    panel.vlines(x, low, high, color=PALE, lw=0.6, zorder=1)
    look = {"cmap": RETURNS, "vmin": 0, "vmax": 1, "edgecolors": INK, "linewidths": 0.3}
    panel.scatter(x, shades, 4.8, shades, zorder=5, **look)
    text = "trials by return,\nrange of seeds"
    panel.text(last + 0.85, 1.06, text, ha="center", va="bottom", fontsize=5.5, color=PALE)
