"""The figures of a comparison."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_eval.records.scored import OBJECTIVES
from rl_eval.report.comparison.curves import Band, as_array, bands
from rl_eval.report.comparison.estimates import Aggregates, Final
from rl_eval.report.comparison.panels import Drawing, Look, Panel, folded, looks
from rl_eval.report.comparison.scores import Comparison, Key
from rl_eval.report.palette import EMPTY, NO_SCORE
from rl_eval.stats.bootstrap import Interval

AGGREGATE_TITLES = {
    "mean": "mean",
    "median": "median",
    "iqm": "interquartile mean",
    "optimality_gap": "optimality gap (less is better)",
}
WIDTH = 4.0  # inches: three beside each other on a wide page


def curves(comparison: Comparison, against: str) -> Drawing:
    """Learning curves against `env_steps` or `wall_s`, a panel per environment."""
    legend, panels = list(looks_of(comparison).values()), []
    for env in comparison.envs:
        found = {name: b for name, b in bands(comparison, env).items() if getattr(b, against)}
        if found:
            draw = functools.partial(_curves, found, looks_of(comparison), against)
            panels.append(Panel(env, draw))
    name = {"env_steps": "curves-env-steps", "wall_s": "curves-wall-clock"}[against]
    return Drawing(name, panels, 3, (WIDTH, 2.6), legend)


def final_scores(comparison: Comparison, found: Mapping[Key, Final]) -> Drawing:
    """Every run's score, their mean and its interval, a panel per environment."""
    looks, panels = looks_of(comparison), []
    for env in comparison.envs:
        rows = [
            (looks[name], found[env, name].mean, found[env, name].scores)
            for name in comparison.optimizers
        ]
        label = OBJECTIVES[comparison.table.objective]
        panels.append(Panel(env, functools.partial(_ranges, rows, label)))
    return Drawing("final-scores", panels, 3, (WIDTH, _height(len(looks))))


def aggregate_scores(comparison: Comparison, found: Aggregates) -> Drawing:
    """A panel per aggregate, a row per optimizer."""
    looks, panels = looks_of(comparison), []
    for kind, title in AGGREGATE_TITLES.items():
        rows = [
            (looks[name], found.values[name][kind], ())
            for name in comparison.optimizers
            if name in found.values
        ]
        if rows:
            panels.append(Panel(title, functools.partial(_ranges, rows, "normalised score")))
    return Drawing("aggregate-scores", panels, 4, (3.0, _height(len(looks))))


def improvement(comparison: Comparison, found: Mapping[str, Interval]) -> Drawing:
    """A row per optimizer that is compared with the baseline."""
    looks = looks_of(comparison)
    rows = [(looks[name], found[name], ()) for name in comparison.others if name in found]
    baseline = comparison.record.baseline

    def draw(axis: Any) -> None:
        _ranges(rows, f"chance that a run scores above one of {baseline}", axis)
        axis.axvline(0.5, color=NO_SCORE, lw=0.8, zorder=0)
        axis.set_xlim(-0.03, 1.03)

    panels = [Panel(f"probability of improvement over {baseline}", draw)] if rows else []
    return Drawing("probability-of-improvement", panels, 1, (WIDTH, _height(len(rows))))


def profiles(comparison: Comparison, found: Aggregates) -> Drawing:
    """The share of runs above each normalised score."""
    looks = looks_of(comparison)

    def draw(axis: Any) -> None:
        for name, profile in found.profiles.items():
            _band(axis, looks[name], found.thresholds, *profile)
        axis.set(xlabel="normalised score", ylabel="share of runs above it", ylim=(-0.03, 1.03))

    panels = [Panel("performance profile", draw)] if found.profiles else []
    return Drawing("performance-profile", panels, 1, (WIDTH, 2.6), list(looks.values()))


def looks_of(comparison: Comparison) -> dict[str, Look]:
    """How each optimizer is drawn."""
    return looks(comparison.optimizers, comparison.record.baseline)


def _height(rows: int) -> float:
    return 0.75 + 0.28 * max(rows, 2)


def _curves(found: Mapping[str, Band], looks: Mapping[str, Look], against: str, axis: Any) -> None:
    for name, band in found.items():
        estimate, low, high = as_array(band)
        _band(axis, looks[name], getattr(band, against), estimate, low, high, marker=True)
    labels = {"env_steps": "env steps (agent steps)", "wall_s": "training seconds"}
    axis.set(xlabel=labels[against], ylabel="return", xlim=(0, None))
    axis.xaxis.set_major_formatter(_short)
    axis.locator_params(axis="x", nbins=5)


def _band(
    axis: Any, look: Look, x: Any, estimate: Any, low: Any, high: Any, marker: bool = False
) -> None:
    axis.fill_between(x, low, high, color=look.colour, alpha=0.15, lw=0)
    mark = {"marker": look.marker, "ms": 3} if marker else {}
    axis.plot(x, estimate, color=look.colour, ls=look.dashes, lw=1.3, **mark)


def _ranges(rows: Sequence[tuple[Look, Interval | None, Any]], label: str, axis: Any) -> None:
    """A row each, the first on top: single scores, an estimate and its interval."""
    for y, (look, found, single) in enumerate(rows):
        axis.plot(single, np.full(len(single), y), "|", color=look.colour, ms=9, alpha=0.5)
        if found is not None:
            axis.plot([found.low, found.high], [y, y], color=look.colour, lw=4, alpha=0.35)
            axis.plot([found.estimate], [y], look.marker, color=look.colour, ms=5)
    axis.set_yticks(range(len(rows)), [folded(look.name) for look, _, _ in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=EMPTY, lw=0.6)
    axis.set_axisbelow(True)
    axis.set_xlabel(label)
    axis.locator_params(axis="x", nbins=6)


def _short(value: float, _: Any) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"
