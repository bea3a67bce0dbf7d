"""The parallel coordinates as an interactive section of a page.

Drawn in plain SVG by a script of our own, assets/parcoords.js. The libraries that could have drawn
it: plotly.js (4.1, MIT) adds 4.8 MB to a page, and its parcoords has no hover per line, no tick for
missing values and no drawing order by value; ECharts (6.1, Apache-2.0; 1.1 MB) skips missing values
and cannot drag axes; Vega (6.4, BSD) draws one from a specification, but brushes and draggable axes
are then ours to write; so they are with D3 (7.9, ISC). What a reader has from our own: lines that
share a tick are spread in the order of their returns, each seed is marked on the return axis, axes
lie on their side on a telephone, the keyboard moves them, and each line is an element that a test
can count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_eval.records.scored import OBJECTIVES, Curve, SeedRun
from rl_eval.records.table import Table
from rl_eval.report.page import Section, asset, page
from rl_eval.report.palette import NO_SCORE, RETURNS
from rl_eval.report.sweep.parcoords import OFF_SCALE, Plot, PlotLine, build
from rl_eval.report.sweep.parcoords_figure import note
from rl_eval.report.ticks import linear_ticks, number

CURVE_POINTS = 60  # per seed, so that 500 trials stay far below the size of a page
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
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    def colour(shade: float) -> str:
        return to_hex(tuple(colormaps[RETURNS](shade)))  # type: ignore[arg-type]

    plots = [build(table, env) for env in table.envs]
    data = {
        "plots": [_plot(plot, colour) for plot in plots],
        "optimizers": table.optimizers,
        "colours": [colour(i / 16) for i in range(17)],
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
        script=asset("parcoords.js"),
    )


def _plot(plot: Plot, colour: Any) -> dict[str, Any]:
    return {
        "env": plot.env,
        "axes": [
            {
                "key": axis.key,
                "label": axis.label,
                "help": axis.help,
                "ticks": [[round(height, 4), text] for height, text in axis.ticks],
                "off_scale": axis.off_scale,
            }
            for axis in plot.axes
        ],
        "lines": [_line(plot, line, colour) for line in plot.lines],
        "note": note(plot),
        "curves": _curve_frame([line.row.seeds for line in plot.lines]),
    }


def _line(plot: Plot, line: PlotLine, colour: Any) -> dict[str, Any]:
    row = line.row
    return {
        "id": row.id,
        "optimizer": row.optimizer,
        "heights": line.heights,
        "texts": line.texts,
        "shade": line.shade if line.shade is None else round(line.shade, 3),
        "colour": NO_SCORE if line.shade is None else colour(line.shade),
        "dashed": row.count("completed") < len(row.seeds),
        "runs": [_run(plot, run) for run in row.seeds],
    }


def _run(plot: Plot, run: SeedRun) -> dict[str, Any]:
    scored = "no score" if run.objective is None else number(run.objective)
    text = scored if run.status == "completed" else f"{run.status}, {scored}"
    height = None
    if run.objective is not None:
        share = (run.objective - plot.low) / (plot.high - plot.low)
        height = round(min(max(share, -0.05), 1.05), 4)
    return {"seed": run.seed, "text": text, "height": height, "curve": _thinned(run.curve)}


def _thinned(curve: Curve) -> list[tuple[int, float]]:
    """At most CURVE_POINTS of a curve, the first and last among them."""
    count = len(curve.env_steps)
    if count <= CURVE_POINTS:
        picked = range(count)
    else:
        picked = [round(i * (count - 1) / (CURVE_POINTS - 1)) for i in range(CURVE_POINTS)]  # type: ignore[assignment]
    return [(curve.env_steps[i], float(f"{curve.returns[i]:.4g}")) for i in picked]


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
