"""Importances as a printed figure: a panel for each environment and optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_eval.records.table import Table
from rl_eval.report.figures import save, shortened, styled, wrapped
from rl_eval.report.palette import INK, NO_SCORE
from rl_eval.stats.importance import Importances


class Shares(NamedTuple):
    """By both methods; names are those of `AxisRecord.key`, in one order."""

    fanova: Importances
    ped: Importances


def render(
    table: Table, found: Mapping[tuple[str, str], Shares | None], out_dir: Path
) -> list[Path]:
    """Write importances.png, .svg and .pdf, if any optimizer has enough trials."""
    shown = {key: shares for key, shares in found.items() if shares is not None}
    if not shown:
        return []
    with styled():
        return save(draw(table, shown), out_dir, "importances")


def order(shares: Shares) -> list[int]:
    """The most important first."""
    return np.argsort(-shares.fanova.mean, kind="stable").tolist()


def draw(table: Table, shown: Mapping[tuple[str, str], Shares]) -> Any:
    """A panel for each environment, down, and optimizer, across."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    names = {axis.key: axis.name for axis in table.axes}
    envs, optimizers = (list(dict.fromkeys(key[i] for key in shown)) for i in (0, 1))
    most = max(len(shares.fanova.names) for shares in shown.values())
    names = {key: shortened(name, 28) for key, name in names.items()}
    titles = {key: wrapped(", ".join(key), 28) for key in shown}
    lines = max(title.count("\n") for title in titles.values())
    wide = 2.2 + 0.065 * max(map(len, names.values()))
    size = (0.6 + wide * len(optimizers), 0.3 + (0.7 + 0.13 * lines + 0.19 * most) * len(envs))
    figure = Figure(figsize=size, layout="constrained")
    panels: Any = figure.subplots(len(envs), len(optimizers), squeeze=False, sharex=True)
    for (env, optimizer), shares in shown.items():
        panel = panels[envs.index(env), optimizers.index(optimizer)]
        ranks = order(shares)[::-1]
        for method, label, mark, up in zip(
            shares, ("fANOVA", "PED-ANOVA"), "os", (0.12, -0.12), strict=True
        ):
            y = np.arange(len(ranks)) + up
            look = {"color": INK if mark == "o" else NO_SCORE}
            panel.hlines(y, method.low[ranks], method.high[ranks], lw=1, **look)
            panel.plot(method.mean[ranks], y, mark, ms=3.5, label=label, **look)
        panel.set_yticks(range(len(ranks)), [names[shares.fanova.names[i]] for i in ranks])
        title = titles[env, optimizer]
        panel.set_title(title, loc="left", fontsize=8, fontweight="bold")
        panel.xaxis.set_major_formatter(PercentFormatter(1.0))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0, 0].legend(frameon=False, fontsize=7, loc="lower right")
    for panel in panels[-1]:
        panel.set_xlabel("share of importance")
    for i, j in np.ndindex(panels.shape):
        panels[i, j].set_visible((envs[i], optimizers[j]) in shown)
    return figure
