"""How soon random search finds good settings: expected score of the best of k trials."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_eval.records.table import Table
from rl_eval.report.figures import images, inks, save, styled
from rl_eval.report.page import Section
from rl_eval.report.sweep.columns import scored, scores
from rl_eval.report.sweep.overview import worth
from rl_eval.report.sweep.parcoords import build
from rl_eval.report.ticks import number
from rl_eval.stats.landscape import expected_best_of_k

HELD_OUT = (
    "Expected score of the best of k trials drawn at random, over all draws. The best is chosen by "
    "one half of the seeds and scored by the others, so that luck does not count as skill; thin "
    "lines are the ways to halve the seeds, the thick line is their mean. It may fall at large k, "
    "where the luckiest of many trials is chosen."
)
ONE_SEED = (
    "Expected score of the best of k trials drawn at random, over all draws. With one seed the "
    "same run chooses and scores, which flatters the more the larger k is."
)


def render(table: Table, out_dir: Path) -> list[Path]:
    """Write best-of-k-<env>.png, .svg and .pdf for each environment."""
    with styled():
        return [p for env, f in _figures(table) for p in save(f, out_dir, f"best-of-k-{env}")]


def section(table: Table) -> Section | None:
    """The figures of all environments; None where no trial has a score."""
    with styled():
        body = images((f"Best of k trials, {env}", figure) for env, figure in _figures(table))
    words = HELD_OUT if len(table.sweep.seeds) > 1 else ONE_SEED
    title = "Best of k trials"
    return Section("best-of-k", title, f"{body}<p>{html.escape(words)}</p>") if body else None


def ways(values: Float[np.ndarray, "trial seed"]) -> Float[np.ndarray, "way trial"]:
    """Expected score of the best of k = 1, 2, ... trials, for each way to halve the seeds.

    Half of the seeds in a row, beginning at each of them, choose; the rest score.
    """
    count = values.shape[1]
    if count == 1:
        return expected_best_of_k(values[:, 0])[None]
    turned = [np.roll(values, -first, axis=1) for first in range(count)]
    parts = [(v[:, : count // 2].mean(axis=1), v[:, count // 2 :].mean(axis=1)) for v in turned]
    return np.stack([expected_best_of_k(choose, score) for choose, score in parts])


def _figures(table: Table) -> Iterator[tuple[str, Any]]:
    for env in table.envs:
        plot = build(table, env)
        lines = {name: scored(plot, name) for name in table.optimizers}
        found = {name: ways(scores(own)) for name, own in lines.items() if own}
        if found:
            yield env, _draw(env, found, worth(table, env), table)


def _draw(env: str, found: dict[str, np.ndarray], what: str, table: Table) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(4.4, 2.8), layout="constrained")
    panel = figure.subplots()
    for name, each in found.items():
        look = inks(table.optimizers)[name]
        k = np.arange(1, each.shape[1] + 1)
        panel.plot(k, each.T, color=look.colour, alpha=0.45, lw=0.6)
        marks = {**look.line, "markevery": [2**i - 1 for i in range(len(k).bit_length())]}
        panel.plot(k, each.mean(axis=0), **marks, ms=3.5, lw=1.4, label=name)
    longest = max(each.shape[1] for each in found.values())
    ticks = sorted({*(2**i for i in range(longest.bit_length())), longest})
    ticks = [k for k in ticks if k == longest or k < longest / 1.3]
    panel.set(xscale="log", xlabel="k, trials tried", ylabel=what)
    panel.set_xticks(ticks, [number(k) for k in ticks])
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.minorticks_off()
    panel.set_title(env, loc="left", fontsize=9, fontweight="bold")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=7)
    return figure
