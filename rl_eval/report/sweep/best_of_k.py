"""How soon random search finds good settings: expected score of the best of k trials."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rl_eval.records.table import Table, scores
from rl_eval.report.figures import images, save, shortened, styled, wrapped
from rl_eval.report.page import Section
from rl_eval.report.palette import inks
from rl_eval.report.sweep.overview import worth
from rl_eval.report.ticks import number
from rl_eval.stats.landscape import expected_best_of_k, sizes_of_k

HELD_OUT = (
    "Expected score of the best of k trials drawn at random, over all draws. The best is chosen by "
    "one half of the seeds and scored by the others, so that luck does not count as skill; trials "
    "that are equally good to choose are chosen equally often. Thin lines are the ways to halve "
    "the seeds, the thick line is their mean."
)
FALLS = (
    "{names}: the mean falls with k, by up to {by}. The more trials there are, the more often the "
    "one that was lucky with the seeds that choose is taken for the best, and the others score it "
    "lower."
)
MOST_WAYS = 70  # to halve the seeds, which is all of them for eight
ROUNDING = 1e-9
LETTERS = 48  # of a name in the figure
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
    words = [HELD_OUT if len(table.sweep.seeds) > 1 else ONE_SEED, *_falls(table)]
    texts = "".join(f"<p>{html.escape(text)}</p>" for text in words)
    return Section("best-of-k", "Best of k trials", f"{body}{texts}") if body else None


def ways(
    values: Float[np.ndarray, "trial seed"], k: Int[np.ndarray, " size"] | None = None
) -> Float[np.ndarray, "way size"]:
    """Expected score of the best of k = 1, 2, ... trials, or as given, for each way to halve them.

    Every half of the seeds chooses and the rest score, or of very many halves those that are in a
    row, beginning at each seed.
    """
    count = values.shape[1]
    if count == 1:
        return expected_best_of_k(values[:, 0], k=k)[None]
    if math.comb(count, count // 2) <= MOST_WAYS:
        halves = list(itertools.combinations(range(count), count // 2))
    else:
        halves = [tuple((i + j) % count for j in range(count // 2)) for i in range(count)]
    return np.stack([_chosen_by(values, half, k) for half in halves])


def _chosen_by(values: np.ndarray, half: Sequence[int], k: np.ndarray | None) -> np.ndarray:
    rest = [seed for seed in range(values.shape[1]) if seed not in half]
    # In order, so that equal scores have equal means.
    choose = np.sort(values[:, list(half)], axis=1).mean(axis=1)
    return expected_best_of_k(choose, values[:, rest].mean(axis=1), k)


def _falls(table: Table) -> list[str]:
    """Whose expected best falls with k, which it does where luck was chosen."""
    found = {}
    for env in table.envs:
        for name, each in _found(table, env).items():
            mean = each.mean(axis=0)
            by = float((np.maximum.accumulate(mean) - mean).max())
            if by > ROUNDING * np.abs(mean).max():
                found[f"{name} in {env}"] = by
    if not found:
        return []
    return [FALLS.format(names=", ".join(found), by=number(max(found.values())))]


def _found(table: Table, env: str) -> dict[str, np.ndarray]:
    """By optimizer, at `sizes_of_k`."""
    rows = {name: table.scored[env, name] for name in table.optimizers}
    return {name: ways(scores(own), sizes_of_k(len(own))) for name, own in rows.items() if own}


def _figures(table: Table) -> Iterator[tuple[str, Any]]:
    for env in table.envs:
        if found := _found(table, env):
            yield env, _draw(env, found, worth(table, env), table)


def _draw(env: str, found: dict[str, np.ndarray], what: str, table: Table) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(4.4, 2.8), layout="constrained")
    panel = figure.subplots()
    for name, each in found.items():
        look = inks(table.optimizers)[name]
        k = sizes_of_k(len(table.scored[env, name]))
        panel.plot(k, each.T, color=look.colour, alpha=0.45, lw=0.6)
        doubled = [2**i for i in range(int(k[-1]).bit_length())]
        marks = {**look.line, "markevery": np.unique(np.searchsorted(k, doubled)).tolist()}
        panel.plot(k, each.mean(axis=0), **marks, ms=3.5, lw=1.4, label=shortened(name, LETTERS))
    longest = max(len(table.scored[env, name]) for name in found)
    ticks = sorted({*(2**i for i in range(longest.bit_length())), longest})
    ticks = [k for k in ticks if k == longest or k < longest / 1.3]
    panel.set(xscale="log", xlabel="k, trials tried", ylabel=what)
    panel.set_xticks(ticks, [number(k) for k in ticks])
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.minorticks_off()
    panel.set_title(wrapped(env, LETTERS), loc="left", fontsize=9, fontweight="bold")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=7)
    return figure
