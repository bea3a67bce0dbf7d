"""The picture of a coordinate check: each layer's RMS against width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rl_eval.report.figures import save, styled


def render(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    widths: Sequence[int],
    out_dir: Path,
    name: str = "coordinate-check",
) -> list[Path]:
    """PNG, SVG and PDF with a panel per parametrisation and a line per layer.

    `panels[title][layer]` is what `rl_eval.ppo.mup.coordinate_check` gives for `widths`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    with styled():
        figure = Figure(figsize=(3.2 * len(panels), 2.6), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (title, curves) in zip(axes, panels.items(), strict=True):
            for layer, marker in zip(curves, "os^Dv<>p" * len(curves), strict=False):
                axis.plot(widths, curves[layer], marker=marker, markersize=3, label=layer)
            axis.set(xscale="log", yscale="log", title=title, xlabel="width (units a layer)")
            axis.set_xticks(widths, [str(width) for width in widths], minor=False)
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.minorticks_off()
        axes[0].set_ylabel("RMS of the layer's output")
        axes[-1].legend(frameon=False)
        return save(figure, out_dir, name)
