"""The hyperparameters of a plot as arrays, whatever their scale: places in [0, 1] and bins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_eval.report.sweep.parcoords import OFF_SCALE, Plot, PlotAxis, PlotLine

OTHERS = ("optimizer", "outcome", "objective")  # axes of a plot that are no hyperparameters


@dataclasses.dataclass(frozen=True)
class Column:
    """One hyperparameter of some lines: their exact places, and the heights they are drawn at."""

    axis: PlotAxis
    places: Float[np.ndarray, " line"]
    spread: Float[np.ndarray, " line"]

    @property
    def on_scale(self) -> Bool[np.ndarray, " line"]:
        """Whether the axis has a place for the value."""
        return self.places != OFF_SCALE

    def bins(self, most: int) -> Int[np.ndarray, " line"]:
        """Which part of the axis each value is in, of `count(most)`; -1 off the scale."""
        count = self.count(most)
        return np.where(self.on_scale, np.clip(self.places * count, 0, count - 1), -1).astype(int)

    def count(self, most: int) -> int:
        """Parts of the axis: the values of a choice, otherwise `most`."""
        return len(self.axis.ticks) if self.axis.bands else most


def columns(plot: Plot, lines: Sequence[PlotLine]) -> list[Column]:
    """The hyperparameters that some of the lines have a value of."""
    shape = len(lines), len(plot.axes)
    places = np.array([line.places for line in lines]).reshape(shape)
    heights = np.array([line.heights for line in lines]).reshape(shape)
    found = [
        Column(axis, places[:, i], heights[:, i])
        for i, axis in enumerate(plot.axes)
        if axis.key not in OTHERS
    ]
    return [column for column in found if column.on_scale.any()]


def scored(plot: Plot, optimizer: str) -> list[PlotLine]:
    """The trials of an optimizer that have a score, the best last."""
    return [
        line for line in plot.lines if line.row.optimizer == optimizer and line.shade is not None
    ]
