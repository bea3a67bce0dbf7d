"""How much is lost by not tuning for each environment, and how many hyperparameters matter."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.envs.scores import min_max_normalised
from rl_eval.records.table import Row, Table
from rl_eval.report.figures import images, save, shortened, styled
from rl_eval.report.page import Section
from rl_eval.report.palette import inks
from rl_eval.report.sweep import overview
from rl_eval.report.sweep.summary import line
from rl_eval.stats.sensitivity import TRUSTED, Sensitivity, sensitivity
from rl_eval.stats.values import Column

ROWS = ("tuned per environment", "tuned across environments", "sensitivity", "dimensionality")
NOTE = (
    "After Adkins, Bowling and White (NeurIPS 2024), on scores placed between random play, 0, and "
    "a reference, 1. Tuned per environment: mean over environments of the best setting of each. "
    "Tuned across environments: the best mean of one setting. Sensitivity: the first less the "
    "second, what is lost by not tuning for each environment. Dimensionality: the fewest "
    "hyperparameters that must be tuned per environment, the others staying at the best setting "
    "across environments, to reach 95 % of the first. As published: the same seeds choose and "
    "score, which flatters the best. Held out: one half of the seeds chooses, the other scores; "
    "the interval is of this and holds the choice. Where noise is large, held-out values may be "
    "negative."
)
TOO_FEW = (
    "{name}: the interval of its sensitivity holds 0, so {seeds} seeds are too few to say whether "
    "it needs tuning for each environment."
)
NO_GRID = (
    "{name}: not all combinations of settings were run, so that its dimensionality is not "
    "measured. Those that were run show that it lies from {low:g} to {high:g}. "
)
BY_MODEL = (
    "The number shown is by a model of the scores, a Gaussian process for each environment, which "
    "explains {explained:.0%} of the variance of settings left out."
)
NO_MODEL = (
    "A model of the scores says no more: it explains {explained:.0%} of the variance of settings "
    "left out, and less than {trusted:.0%} is not trusted."
)


Found = Mapping[str, Sensitivity | str]
"""By optimizer: its sensitivity, or why there is none."""


def of_optimizer(table: Table, optimizer: str) -> Sensitivity | str:
    """The sensitivity of an optimizer, or why there is none. `table` has no overview rows."""
    if len(table.sweep.seeds) < 2:
        return "one seed cannot both choose and score; run at least two"
    if (reason := overview.refusal(table)) is not None:
        return reason
    groups = overview.groups(table, optimizer)
    if not groups:
        return "no setting was run in every environment: their designs have different points"
    if missed := overview.unmatched(table, optimizer):
        return f"{missed} settings were not planned for every environment"
    if any(row.count("pruned") for group in groups for row in group):
        return "pruned trials have no score; sensitivity needs a sweep without pruning"
    if missed := sum(any(row.objective is None for row in group) for group in groups):
        return (
            f"{missed} of {len(groups)} settings lack a score in an environment; "
            "rl-eval sweep --resume completes what is missing"
        )
    axes = [axis for axis in table.sweep.axes[optimizer] if len(axis.values) != 1]
    columns = [
        Column(
            [group[0].values[axis.key] for group in groups],
            axis.scale == "log",
            axis.scale == "choice",
        )
        for axis in axes
    ]
    if not columns or len(groups) < 2:
        return "nothing was varied"
    try:
        return sensitivity(_scores(groups), columns, np.random.default_rng(0))
    except ValueError as error:
        return str(error)


def of_table(table: Table) -> Found:
    """By optimizer; slow, seconds each."""
    return {name: of_optimizer(table, name) for name in table.optimizers}


def section(table: Table, found: Found) -> Section:
    """A table of all optimizers, and the words it needs."""
    lines, words = [], []
    for name, result in found.items():
        if isinstance(result, str):
            words.append(f"{name}: not computable. {result[:1].upper()}{result[1:]}.")
            continue
        lines += _lines(name, result)
        if result.low.sensitivity <= 0:
            words.append(TOO_FEW.format(name=name, seeds=len(table.sweep.seeds)))
        if not result.complete:
            words.append(_incomplete(name, result))
    head = line(("optimizer", "", "as published", "held out", "95 % interval"), "th")
    body = ""
    if lines:
        words = [NOTE, *words]
        with styled():
            picture = images([("Tuned score against sensitivity", _draw(found))])
        rows = "".join([head, *lines])
        body = f'{picture}<div class="scroll"><table class="summary">{rows}</table></div>'
    body += "".join(f"<p>{html.escape(text)}</p>" for text in words)
    return Section("sensitivity", "Sensitivity across environments", body)


def render(found: Found, out_dir: Path) -> list[Path]:
    """Write sensitivity.png, .svg and .pdf, if any optimizer has one."""
    if all(isinstance(result, str) for result in found.values()):
        return []
    with styled():
        return save(_draw(found), out_dir, "sensitivity")


def _scores(groups: Sequence[Sequence[Row]]) -> np.ndarray:
    """Normalised, [setting, seed, env]."""
    values = [
        [
            min_max_normalised(row.env, np.array([run.objective for run in row.seeds]))
            for row in group
        ]
        for group in groups
    ]
    return np.swapaxes(np.array(values, np.float64), 1, 2)


def _lines(name: str, found: Sensitivity) -> list[str]:
    texts = zip(ROWS, found.published, found.held_out, found.low, found.high, strict=True)
    return [
        line((name, quantity, _text(a), _text(b), f"{_text(low)} to {_text(high)}"))
        for quantity, a, b, low, high in texts
    ]


def _incomplete(name: str, found: Sensitivity) -> str:
    low, high = found.low.dimensionality, found.high.dimensionality
    text = NO_GRID.format(name=name, low=low, high=high)
    if low == high:
        return text
    if found.model is None:
        return f"{text}There are too few for a model to say more."
    words = NO_MODEL if math.isnan(found.published.dimensionality) else BY_MODEL
    return text + words.format(explained=max(found.model.explained, 0.0), trusted=TRUSTED)


def _text(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value + 0.0:.3g}" if abs(value) >= 5e-4 else "0"


def _draw(found: Found) -> Any:
    """Each optimizer in the plane of what tuning gives and what it costs not to."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    panel = figure.subplots()
    for name, look in inks(tuple(found)).items():
        result = found[name]
        if isinstance(result, str):
            continue
        x, y = result.held_out.sensitivity, result.held_out.per_env
        low, high = result.low, result.high
        mark = {"marker": look.line["marker"], "color": look.colour, "ms": 5, "ls": "none"}
        panel.plot([low.sensitivity, high.sensitivity], [y, y], color=look.colour, lw=1)
        panel.plot([x, x], [low.per_env, high.per_env], color=look.colour, lw=1)
        panel.plot([x], [y], **mark, label=shortened(name, 48))
    panel.set_xlim(left=min(0.0, panel.get_xlim()[0]))
    panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
    panel.set(xlabel="sensitivity (left is better)", ylabel="tuned per environment, normalised")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=7)
    return figure
