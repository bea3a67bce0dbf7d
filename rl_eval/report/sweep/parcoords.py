"""Parallel coordinates: what is drawn, for the static figure and the interactive view alike.

Heights are in [0, 1] from the bottom to the top of an axis. What an axis has no place for (a
hyperparameter that the optimizer lacks, a zero on a logarithmic axis, a trial without a score) is
drawn on a tick of its own at `OFF_SCALE`. Lines that share a value of a choice are spread around
its tick in the order of their returns, so that they can be told apart and counted.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rl_eval.records.sweep import AxisRecord, Setting
from rl_eval.records.table import Row, Table
from rl_eval.report.sweep.overview import ALL, UNIT, worth
from rl_eval.report.ticks import Ticks, labels, linear_ticks, log_ticks, number, share
from rl_eval.stats.values import identity

OFF_SCALE = -0.12
BAND = 0.7  # of the room of a choice that its lines may fill
MAX_BANDS = 9  # whole numbers up to so many are drawn as choices
MAX_STRETCH = 1.25  # of the return axis, for scores of trials that diverged
LARGEST = sys.float_info.max
ABSENT: Any = object()  # in place of the value of an axis that a trial does not have
OUTCOMES = ("failed", "unfinished", "diverged", "partly diverged", "completed")


@dataclasses.dataclass(frozen=True)
class PlotAxis:
    """One axis. `off_scale` is the text of the tick below it, where a line needs one."""

    key: str
    label: str
    help: str
    ticks: Ticks
    bands: bool = False
    off_scale: str = ""


@dataclasses.dataclass(frozen=True)
class PlotLine:
    """One trial: its place, the height it is drawn at and the text of its value on each axis.

    `places` are exact, and equal for equal values; `heights` are spread and rounded. `shade` is its
    place on the colour map, None without a score.
    """

    row: Row
    places: tuple[float, ...]
    heights: tuple[float, ...]
    texts: tuple[str, ...]
    shade: float | None


@dataclasses.dataclass(frozen=True)
class Plot:
    """All trials in one environment, in drawing order: the best come last, on top."""

    env: str
    axes: tuple[PlotAxis, ...]
    lines: tuple[PlotLine, ...]
    low: float
    high: float
    fixed: tuple[str, ...]
    """Hyperparameters of one value, which get no axis."""
    clipped: int
    """Lines whose score lies beyond the last axis and is drawn at its end."""


@dataclasses.dataclass(frozen=True)
class _Column:
    """An axis before its lines are placed; `place` is None for values that are not on it."""

    key: str
    label: str
    help: str
    ticks: Ticks
    value: Callable[[Row], Any]
    place: Callable[[Any], float | None]
    bands: int = 0
    absent: str = "not used"


def build(table: Table, env: str) -> Plot:
    """The plot of one environment."""
    rows = [row for row in table.rows if row.env == env]
    rows.sort(key=lambda row: (row.objective is not None, row.objective or 0.0, row.id))
    low, high = _range(rows)
    varying, fixed = _split(table.axes, rows)
    columns = [_hyperparameter(axis, _label(axis, table.axes)) for axis in varying]
    if len(table.optimizers) > 1:
        names = tuple(reversed(table.optimizers))
        columns.insert(0, _choice("optimizer", "optimizer", "", names, lambda row: row.optimizer))
    columns += [_outcome(rows), _score(table, env, low, high)]
    placed = [_place(column, rows) for column in columns]
    lines = []
    for i, row in enumerate(rows):
        shade = None if row.objective is None else placed[-1].heights[i]
        places = tuple(p.places[i] for p in placed)
        heights = tuple(round(p.heights[i], 4) for p in placed)
        lines.append(PlotLine(row, places, heights, tuple(p.texts[i] for p in placed), shade))
    scores = [row.objective for row in rows if row.objective is not None]
    return Plot(
        env=env,
        axes=tuple(p.axis for p in placed),
        lines=tuple(lines),
        low=low,
        high=high,
        fixed=fixed,
        clipped=sum(not low <= score <= high for score in scores),
    )


def outcome(row: Row) -> str:
    """One word for what became of all the seeds of a trial."""
    if row.count("failed"):
        return "failed"
    if row.count("missing") or row.count("running") or row.count("pruned"):
        return "unfinished"
    diverged = row.count("diverged")
    return "completed" if not diverged else OUTCOMES[2 if diverged == len(row.seeds) else 3]


def _range(rows: Sequence[Row]) -> tuple[float, float]:
    """Ends of the return axis: of all trials, or of those of which no seed diverged.

    The latter where scores of divergence would press the others into a corner.
    """
    scored = [(row.objective, row.count("diverged")) for row in rows if row.objective is not None]
    if not scored:
        return 0.0, 1.0
    every = [score for score, _ in scored]
    sound = [score for score, diverged in scored if not diverged] or every
    width = max(sound) - min(sound)
    kept = sound if max(every) - min(every) > MAX_STRETCH * width > 0 else every
    low, high = min(kept), max(kept)
    spare = 0.5 * max(1.0, abs(low)) if low == high else 0.0
    return low - spare, high + spare


def _split(
    axes: Iterable[AxisRecord], rows: Sequence[Row]
) -> tuple[list[AxisRecord], tuple[str, ...]]:
    varying, fixed = [], []
    for axis in axes:
        if len(axis.values) == 1:
            fixed.append(f"{axis.name} = {number(axis.values[0])}")
        elif any(axis.key in row.values for row in rows):
            varying.append(axis)
    return varying, tuple(fixed)


def _label(axis: AxisRecord, axes: Iterable[AxisRecord]) -> str:
    same = [other for other in axes if other.name == axis.name]
    return axis.key if len(same) > 1 else axis.name


def _hyperparameter(axis: AxisRecord, label: str) -> _Column:
    def value(row: Row) -> Any:
        return row.values.get(axis.key, ABSENT)

    if axis.scale == "choice":
        return _choice(axis.key, label, axis.help, axis.values, value)
    assert axis.low is not None
    assert axis.high is not None
    if axis.scale == "integer" and axis.high - axis.low < MAX_BANDS:
        whole = range(round(axis.low), round(axis.high) + 1)
        return _choice(axis.key, label, axis.help, whole, value)
    log = axis.scale == "log"
    ticks = (log_ticks if log else linear_ticks)(axis.low, axis.high, axis.scale == "integer")
    place = _scale(axis.low, axis.high, log)
    return _Column(axis.key, label, axis.help, ticks, value, place)


def _choice(
    key: str, label: str, text: str, values: Sequence[Setting], value: Callable[[Row], Any]
) -> _Column:
    heights = [(i + 0.5) / len(values) for i in range(len(values))]
    at = dict(zip(map(identity, values), heights, strict=True))
    ticks = tuple(zip(heights, labels(values), strict=True))
    return _Column(key, label, text, ticks, value, lambda v: at.get(identity(v)), len(values))


def _outcome(rows: Sequence[Row]) -> _Column:
    met = {outcome(row) for row in rows} | {"diverged", "completed"}
    names = tuple(name for name in OUTCOMES if name in met)
    return _choice("outcome", "outcome", "of all seeds of a trial", names, outcome)


def _score(table: Table, env: str, low: float, high: float) -> _Column:
    seeds = len(table.sweep.seeds)
    text = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    what = UNIT if env == ALL else "unclipped score of whole games"
    return _Column(
        "objective",
        worth(table, env),
        f"{what}, {text}",
        linear_ticks(low, high),
        lambda row: ABSENT if row.objective is None else row.objective,
        lambda v: None if v is ABSENT else min(max(share(float(v), low, high), 0.0), 1.0),
        absent="no score",
    )


def _scale(low: float, high: float, log: bool) -> Callable[[Any], float | None]:
    def place(value: Any) -> float | None:
        if type(value) not in (int, float) or (log and value <= 0) or abs(value) > LARGEST:
            return None
        if log:
            return share(math.log(value), math.log(low), math.log(high))
        return share(float(value), low, high)

    return place


@dataclasses.dataclass(frozen=True)
class _Placed:
    axis: PlotAxis
    places: list[float]
    heights: list[float]
    texts: list[str]


def _place(column: _Column, rows: Sequence[Row]) -> _Placed:
    """Heights of `rows`, which are in drawing order."""
    values = [column.value(row) for row in rows]
    raw = [column.place(value) for value in values]
    written: dict[float | None, str] = dict(column.ticks) if column.bands else {}
    texts = [
        column.absent if value is ABSENT else written.get(height, number(value))
        for value, height in zip(values, raw, strict=True)
    ]
    places = [OFF_SCALE if height is None else height for height in raw]
    heights = _spread(places, BAND / column.bands) if column.bands else places
    off = dict.fromkeys(text for text, h in zip(texts, raw, strict=True) if h is None)
    axis = PlotAxis(
        column.key,
        column.label,
        column.help,
        column.ticks,
        bool(column.bands),
        ", ".join(off),
    )
    return _Placed(axis, places, heights, texts)


def _spread(heights: Sequence[float], room: float) -> list[float]:
    """Equal heights spread over `room` around themselves, in the order given."""
    together: dict[float, list[int]] = {}
    for i, height in enumerate(heights):
        together.setdefault(height, []).append(i)
    spread = list(heights)
    for height, members in together.items():
        width = 0.0 if height == OFF_SCALE else min(room, 0.015 * (len(members) - 1))
        for rank, i in enumerate(members):
            way = rank / (len(members) - 1) - 0.5 if len(members) > 1 else 0.0
            spread[i] = height + width * way
    return spread
