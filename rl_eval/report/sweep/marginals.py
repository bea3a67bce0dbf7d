"""Return against each hyperparameter, with every trial as a point: small multiples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_eval.records.table import Table, scores
from rl_eval.report.figures import MANY, images, save, shortened, styled, wrapped
from rl_eval.report.page import Section
from rl_eval.report.palette import Ink, inks
from rl_eval.report.sweep.columns import Column, columns, scored
from rl_eval.report.sweep.overview import worth
from rl_eval.report.sweep.parcoords import OFF_SCALE, Plot, PlotAxis, PlotLine, build
from rl_eval.stats.landscape import marginal

ACROSS = 3  # panels side by side
LETTER = 0.03  # of the width of a panel
IN_A_BIN = 8  # trials, more or less, that a median is of
NOTE = (
    "A point is the mean of a trial, a bar the range of its seeds. Lines: median over runs at each "
    "value (of bins where there are many), bands: their middle half, whatever the other "
    "hyperparameters were. Diverged runs count at their stated score; what lies far below all "
    "others is drawn at the lower end."
)


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write marginals-<env>.png, .svg and .pdf for each environment."""
    with styled():
        found = list(_figures(table))
        return [path for env, f in found for path in save(f, out_dir, f"marginals-{env}")]


def section(table: Table) -> Section | None:
    """The figures of all environments; None where no trial has a score."""
    with styled():
        body = images((f"Return against each hyperparameter, {e}", f) for e, f in _figures(table))
    return Section("marginals", "Each hyperparameter", f"{body}<p>{NOTE}</p>") if body else None


def _figures(table: Table) -> Iterator[tuple[str, Any]]:
    for env in table.envs:
        plot = build(table, env)
        lines = {name: scored(plot, name) for name in table.optimizers}
        if any(columns(plot, own) for own in lines.values()):
            yield env, _draw(plot, lines, worth(table, env))


def _draw(plot: Plot, lines: dict[str, list[PlotLine]], what: str) -> Any:
    from matplotlib.figure import Figure

    found = {name: columns(plot, own) for name, own in lines.items()}
    axes = [a for a in plot.axes if any(a == c.axis for own in found.values() for c in own)]
    down = math.ceil(len(axes) / ACROSS)
    figure = Figure(figsize=(7.5, 0.5 + 2.1 * down), layout="constrained")
    panels = figure.subplots(down, ACROSS, squeeze=False, sharey=True)
    values = {name: scores([line.row for line in own]) for name, own in lines.items() if own}
    looks, ends = inks(tuple(lines)), _ends(plot, list(values.values()))
    for panel, axis in zip(panels.flat, axes, strict=False):
        own = {name: c for name, all_ in found.items() for c in all_ if c.axis == axis}
        _frame(panel, axis, all(c.on_scale.all() for c in own.values()))
        for name, column in own.items():
            _series(panel, column, values[name], ends, looks[name], name)
    for panel in panels.flat[len(axes) :]:
        panel.set_visible(False)
    for panel in panels[:, 0]:
        panel.set_ylabel(what)
    spare = 0.05 * (ends[1] - ends[0])
    panels[0, 0].set_ylim(ends[0] - spare, ends[1] + spare)
    marks = [zip(*p.get_legend_handles_labels(), strict=True) for p in panels.flat]
    labels = {label: mark for each in marks for mark, label in each}
    place: Any = {"loc": "outside upper right", "ncols": 4}
    figure.legend([*labels.values()], [*labels], frameon=False, fontsize=7, **place)
    figure.suptitle(wrapped(plot.env, 40), x=0.01, ha="left", fontsize=9, fontweight="bold")
    return figure


def _frame(panel: Any, axis: PlotAxis, on_scale: bool) -> None:
    ticks = _apart([*([] if on_scale else [(OFF_SCALE, axis.off_scale)]), *axis.ticks])
    panel.set_xticks([height for height, _ in ticks], [shortened(text, 12) for _, text in ticks])
    panel.tick_params(labelsize=7)
    panel.set(xlabel=wrapped(axis.label, 32), xlim=(-0.05 if on_scale else OFF_SCALE - 0.06, 1.05))
    panel.spines[["top", "right"]].set_visible(False)


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those whose labels do not touch the one before."""
    kept, end = [], -math.inf
    for height, text in ticks:
        half = LETTER * min(len(text), 12) / 2
        if height - half > end:
            kept.append((height, text))
            end = height + half
    return kept


def _ends(plot: Plot, found: Sequence[Float[np.ndarray, "trial seed"]]) -> tuple[float, float]:
    """Of the axis of returns: of all seeds of the trials that lie on the plot's."""
    values = np.concatenate(found)
    means = values.mean(axis=1)
    kept = values[(plot.low <= means) & (means <= plot.high)]
    return float(min(plot.low, kept.min())), float(max(plot.high, kept.max()))


def _series(
    panel: Any,
    column: Column,
    values: Float[np.ndarray, "trial seed"],
    ends: tuple[float, float],
    look: Ink,
    name: str,
) -> None:
    """One optimizer: its trials, and median and band over those that are on the scale."""
    many = len(values) > MANY
    points = {"color": look.colour, "alpha": 0.45, "lw": 0.6, "rasterized": many}
    bars = np.clip(values, *ends)
    panel.vlines(column.spread, bars.min(axis=1), bars.max(axis=1), **points)
    means = np.clip(values.mean(axis=1), *ends)
    panel.plot(column.spread, means, look.line["marker"], ms=2, mew=0, **points)
    on = column.on_scale
    bins = max(3, min(10, len(values) // IN_A_BIN))
    bins = column.count(bins)
    line = marginal(column.places[on], values[on], bins=bins)
    panel.fill_between(line.value, line.low, line.high, color=look.colour, alpha=0.15, lw=0)
    panel.plot(line.value, line.median, **look.line, ms=3, lw=1.2, label=shortened(name, 24))
