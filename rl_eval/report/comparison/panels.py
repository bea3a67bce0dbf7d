"""How the figures of a comparison are put together.

A figure is a list of panels. Its files have all of them in one picture, for a paper; the page has a
picture for each, so that they wrap on a narrow screen and stay legible.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl_eval.report.figures import inlined, save, styled
from rl_eval.report.palette import COLOURS, INK, ink

MARGIN = 0.35  # inches below the panels, for the legend


class Look(NamedTuple):
    """How an optimizer is drawn, in every figure."""

    name: str
    colour: str
    marker: str
    dashes: Any


class Panel(NamedTuple):
    """One set of axes."""

    title: str
    draw: Callable[[Any], None]


class Drawing(NamedTuple):
    """A figure. `size`: of a panel, in inches; `legend`: which optimizers it must tell apart."""

    name: str
    panels: Sequence[Panel]
    columns: int
    size: tuple[float, float]
    legend: Sequence[Look] = ()


def looks(optimizers: Sequence[str], baseline: str) -> dict[str, Look]:
    """The baseline is dark."""
    ordered = [baseline, *(name for name in optimizers if name != baseline)]
    inks = {name: ink(i, (INK, *COLOURS)) for i, name in enumerate(ordered)}
    found = {
        name: Look(name, own.colour, own.line["marker"], own.line["ls"])
        for name, own in inks.items()
    }
    return {name: found[name] for name in optimizers}


def write(drawing: Drawing, out_dir: Path) -> list[Path]:
    """PNG, SVG and PDF of all panels in one picture."""
    if not drawing.panels:
        return []
    with styled():
        return save(_figure(drawing, drawing.panels, drawing.legend), out_dir, drawing.name)


def images(drawing: Drawing) -> str:
    """A legend and an image for each panel, as HTML."""
    with styled():
        drawn = "".join(
            f'<img class="panel" alt="{html.escape(panel.title)}" '
            f'src="{inlined(_figure(drawing, [panel], ()))}">'
            for panel in drawing.panels
        )
    return f'<div>{_legend(drawing.legend)}<div class="panels">{drawn}</div></div>'


def _figure(drawing: Drawing, panels: Sequence[Panel], legend: Sequence[Look]) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(drawing.columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = drawing.size[0] * columns, drawing.size[1] * rows + (MARGIN if legend else 0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, panels, strict=False):
        panel.draw(axis)
        axis.set_title(panel.title, loc="left", fontsize=9, fontweight="bold")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    if legend:
        lines = [
            Line2D([], [], color=look.colour, marker=look.marker, ms=3.5, ls=look.dashes)
            for look in legend
        ]
        names = [look.name for look in legend]
        across = max(1, int(size[0] / 1.4))
        figure.legend(
            lines, names, loc="outside lower center", ncols=across, frameon=False, fontsize=7
        )
    return figure


def _legend(legend: Sequence[Look]) -> str:
    items = "".join(
        f'<li><span style="background:{look.colour}"></span>{html.escape(look.name)}</li>'
        for look in legend
    )
    return f'<ul class="legend">{items}</ul>' if items else ""


def folded(name: str) -> str:
    """A name that may be a long `module:attribute`, for an axis."""
    return textwrap.fill(name, 18)
