"""The parallel coordinates as an interactive section of a page.

Drawn in plain SVG by scripts of our own, assets/parcoords.js and parcoords_lines.js. The libraries
that could have drawn it: plotly.js (4.1, MIT) adds 4.8 MB to a page, and its parcoords has no hover
per line, no tick for missing values and no drawing order by value; ECharts (6.1, Apache-2.0; 1.1
MB) skips missing values and cannot drag axes; Vega (6.4, BSD) draws one from a specification, but
brushes and draggable axes are then ours to write; so they are with D3 (7.9, ISC). What a reader has
from our own: lines that share a tick are spread in the order of their returns, each seed is marked
on the return axis, axes lie on their side on a telephone, the keyboard moves them, and each line is
an element that a test can count, up to some hundreds; more are drawn on a canvas, which stays
fluid.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_eval.records.scored import OBJECTIVES, SeedRun
from rl_eval.records.table import Table
from rl_eval.report.page import Section, asset, page
from rl_eval.report.palette import NO_SCORE, shades
from rl_eval.report.sweep.parcoords import OFF_SCALE, Plot, build
from rl_eval.report.sweep.parcoords_figure import note
from rl_eval.report.ticks import linear_ticks, number, share

CURVE_POINTS = 60  # per seed, at most
ALL_POINTS = 250_000  # of all curves of a page
SHADES = 65
FEW_TEXTS = 64  # different texts of an axis that are written once
HINT = (
    "Point at a line for its trial and learning curve, click to keep it. Drag along an axis to "
    "select, click the axis to clear, drag its name to move it. Dashed: a seed did not complete."
)


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write parallel-coordinates.html."""
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "parallel-coordinates.html"
    title = table.sweep.description or table.sweep.preset or "Sweep"
    path.write_text(page(title, [section(table)]), encoding="utf-8")
    return [path]


def section(table: Table) -> Section:
    """The view of a sweep, to be set into a page."""
    runs = sum(len(row.seeds) for row in table.rows)
    points = max(2, min(CURVE_POINTS, ALL_POINTS // max(runs, 1)))
    data = {
        "plots": [_plot(build(table, env), table.optimizers, points) for env in table.envs],
        "optimizers": table.optimizers,
        "seeds": table.sweep.seeds,
        "colours": shades(SHADES),
        "no_score": NO_SCORE,
        "off_scale": OFF_SCALE,
        "hint": HINT,
        "curve_label": "return of each seed against agent steps",
    }
    return Section(
        name="parcoords",
        title=f"Hyperparameters and {OBJECTIVES[table.objective]}",
        body=asset("parcoords.html"),
        data=data,
        style=asset("parcoords.css"),
        script=asset("parcoords_lines.js") + asset("parcoords.js"),
    )


def _plot(plot: Plot, optimizers: Sequence[str], points: int) -> dict[str, Any]:
    grids: dict[tuple[int, ...], int] = {}
    texts = [_Texts([line.texts[i] for line in plot.lines]) for i in range(len(plot.axes))]
    return {
        "env": plot.env,
        "low": plot.low,
        "high": plot.high,
        "axes": [
            {
                "key": axis.key,
                "label": axis.label,
                "help": axis.help,
                "ticks": [[round(height, 4), text] for height, text in axis.ticks],
                "off_scale": axis.off_scale,
                "texts": own.known,
            }
            for axis, own in zip(plot.axes, texts, strict=True)
        ],
        # As the script reads them: without the names of their parts, which would be most of a page.
        "lines": [
            (
                line.row.id,
                optimizers.index(line.row.optimizer),
                line.heights,
                [own.at(text) for own, text in zip(texts, line.texts, strict=True)],
                None if line.shade is None else round(line.shade, 3),
                None if line.row.objective is None else _rounded(line.row.objective),
                int(line.row.count("completed") < len(line.row.seeds)),
                [_run(plot, run, grids, points) for run in line.row.seeds],
            )
            for line in plot.lines
        ],
        "grids": [list(grid) for grid in grids],
        "note": note(plot),
        "curves": _curve_frame([line.row.seeds for line in plot.lines]),
    }


class _Texts:
    """The texts of an axis, by number where they are few."""

    def __init__(self, texts: Sequence[str]) -> None:
        known = list(dict.fromkeys(texts))
        self.known = known if len(known) <= FEW_TEXTS else []
        self._numbers = {text: i for i, text in enumerate(self.known)}

    def at(self, text: str) -> str | int:
        return self._numbers.get(text, text)


def _run(
    plot: Plot, run: SeedRun, grids: dict[tuple[int, ...], int], points: int
) -> tuple[str, float | None, int, list[float | int]]:
    """Words, height, and the curve as the number of its env steps and its returns."""
    scored = "no score" if run.objective is None else number(run.objective)
    text = scored if run.status == "completed" else f"{run.status}, {scored}"
    height = None
    if run.objective is not None:
        way = share(run.objective, plot.low, plot.high)
        height = round(min(max(way, -0.05), 1.05), 4)
    picked = _thinned(len(run.curve.env_steps), points)
    steps = tuple(run.curve.env_steps[i] for i in picked)
    grid = grids.setdefault(steps, len(grids))
    return text, height, grid, [_rounded(run.curve.returns[i]) for i in picked]


def _thinned(count: int, points: int) -> Sequence[int]:
    """At most `points` of a curve's, the first and last among them."""
    if count <= points:
        return range(count)
    return [round(i * (count - 1) / (points - 1)) for i in range(points)]


def _rounded(value: float) -> float | int:
    """To four digits, and whole where it is."""
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _curve_frame(seeds: Sequence[Sequence[SeedRun]]) -> dict[str, Any]:
    """Axes that all learning curves of an environment share, so that they can be compared."""
    curves = [run.curve for runs in seeds for run in runs if run.curve.returns]
    last = max((curve.env_steps[-1] for curve in curves), default=1)
    low = min((min(curve.returns) for curve in curves), default=0.0)
    high = max((max(curve.returns) for curve in curves), default=1.0)
    high = high if high > low else low + 1.0
    return {
        "steps": last,
        "low": low,
        "high": high,
        "ticks": [[low + h * (high - low), text] for h, text in linear_ticks(low, high)],
        "step_ticks": [
            [round(h * last), _steps(h * last)] for h, _ in linear_ticks(0.0, float(last))
        ],
    }


def _steps(count: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.4g}{suffix}"
    return f"{count:.4g}"
