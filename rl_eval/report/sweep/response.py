"""Return against learning rate, one line an optimizer, whatever the other hyperparameters were."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.records.scored import OBJECTIVES
from rl_eval.records.table import Table, scores
from rl_eval.report.figures import images, save, shortened, styled, wrapped
from rl_eval.report.page import Section
from rl_eval.report.palette import inks
from rl_eval.report.sweep.overview import worth
from rl_eval.report.ticks import log_ticks, number
from rl_eval.stats.landscape import Marginal, marginal

LEVEL = 0.5
ROOM = 3.0  # times the rate below it, at which a rate of zero is drawn
LETTERS = 60  # of a name in the figure
NOTE = (
    "Median and middle half of the runs at each learning rate (of ten bins where there are more). "
    "Diverged runs count at their stated score. Where other hyperparameters were varied too, the "
    "band holds them as well as the seeds."
)


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write learning-rate-<env>.png, .svg and .pdf for each environment that has one."""
    out_dir.mkdir(parents=True, exist_ok=True)
    with styled():
        return [
            path
            for env, figure in _figures(table)
            for path in save(figure, out_dir, f"learning-rate-{env}")
        ]


def section(table: Table) -> Section | None:
    """The figures of all environments; None if no learning rate was varied."""
    with styled():
        body = images((f"Return against learning rate, {env}", f) for env, f in _figures(table))
    title = f"Learning rate and {OBJECTIVES[table.objective]}"
    return Section("response", title, f"{body}<p>{html.escape(NOTE)}</p>") if body else None


def responses(table: Table, env: str) -> dict[str, Marginal]:
    """By optimizer: those that have learning rates and scores in an environment."""
    found = {}
    for optimizer in table.optimizers:
        key = table.sweep.learning_rate_key(optimizer)
        if key is None:
            continue
        # JSON may say 3 for 3.0.
        rows = [
            row for row in table.scored[env, optimizer] if type(row.values.get(key)) in (int, float)
        ]
        if rows:
            rates = np.array([row.values[key] for row in rows], np.float64)
            found[optimizer] = marginal(rates, scores(rows), log=True, level=LEVEL)
    return found


def _figures(table: Table) -> list[tuple[str, Any]]:
    drawn = [(env, responses(table, env)) for env in table.envs]
    return [(env, _draw(env, table, found)) for env, found in drawn if found]


def _draw(env: str, table: Table, found: dict[str, Marginal]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.0), layout="constrained")
    panel = figure.subplots()
    lowest, highest, alone = _ends(found)
    at = {rate: lowest / ROOM ** (len(alone) - i) for i, rate in enumerate(alone)}
    for optimizer, line in found.items():
        look = inks(table.optimizers)[optimizer]
        on = line.value > 0
        band = line.value[on], line.low[on], line.high[on]
        panel.fill_between(*band, color=look.colour, alpha=0.18, lw=0)
        label = shortened(f"{optimizer} ({line.runs.sum()} runs)", LETTERS)
        panel.plot(line.value[on], line.median[on], **look.line, ms=3.5, lw=1.2, label=label)
        x = [at[rate] for rate in line.value[~on].tolist()]
        panel.vlines(x, line.low[~on], line.high[~on], color=look.colour, alpha=0.4, lw=3)
        panel.plot(x, line.median[~on], **{**look.line, "ls": "none"}, ms=3.5)
    ticks = [(x, number(rate)) for rate, x in at.items()]
    if highest > lowest:
        span = math.log(highest) - math.log(lowest)
        ticks += [
            (math.exp(math.log(lowest) + height * span), text)
            for height, text in log_ticks(lowest, highest)
        ]
    elif highest > 0:
        ticks.append((highest, number(highest)))
    panel.set(xscale="log", xlabel="learning rate", ylabel=worth(table, env))
    panel.set_xticks([x for x, _ in ticks], [text for _, text in ticks])
    panel.minorticks_off()
    panel.set_title(wrapped(env, LETTERS), loc="left", fontsize=9, fontweight="bold")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=7)
    return figure


def _ends(found: Mapping[str, Marginal]) -> tuple[float, float, list[float]]:
    """The lowest and highest rate, and those of which there is no logarithm, zero among them."""
    rates = np.unique(np.concatenate([line.value for line in found.values()]))
    positive = rates[rates > 0]
    ends = (positive[0], positive[-1]) if positive.size else (1.0, 1.0)
    return float(ends[0]), float(ends[1]), rates[rates <= 0].tolist()
