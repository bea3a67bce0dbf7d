"""One picture of a gate's decision: whose runs reach which score, and each change in its bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.gate.result import Comparison, Result
from rl_eval.report.figures import FORMATS, styled
from rl_eval.report.palette import COLOURS, INK, PALE
from rl_eval.stats.profiles import profile_band

BASELINE, CANDIDATE = PALE, COLOURS[0]
VERDICTS = {"pass": COLOURS[2], "regression": COLOURS[1], "inconclusive": COLOURS[4]}
MARKS = {"pass": "o", "regression": "X", "inconclusive": "D"}


def draw(result: Result, path: Path) -> Path:
    """Write a PNG with a row for each tier that compared scores.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    tiers = result.comparisons
    heights = [1.5 + 0.26 * len(c.rows) for c in tiers]
    with styled():
        figure = Figure(figsize=(7.2, sum(heights) + 0.5), layout="constrained")
        panels = figure.subplots(len(tiers), 2, squeeze=False, height_ratios=heights)
        for row, comparison in zip(panels, tiers, strict=True):
            _profiles(row[0], comparison)
            _changes(row[1], comparison)
        verdict = f"{result.candidate.optimizer}: {result.verdict}"
        figure.suptitle(verdict, fontweight="bold", color=VERDICTS[result.verdict])
        figure.savefig(path, format="png", **FORMATS["png"])
    return path


def _profiles(panel: Any, c: Comparison) -> None:
    ours, theirs = np.array(c.candidate).T, np.array(c.baseline).T
    low, high = min(ours.min(), theirs.min(), 0.0), max(ours.max(), theirs.max(), 0.1)
    thresholds = np.linspace(low, high, 201)
    for name, scores, colour, line in (
        ("baseline", theirs, BASELINE, (0, (4, 1.5))),
        ("candidate", ours, CANDIDATE, "solid"),
    ):
        band = profile_band(scores, thresholds, np.random.default_rng(0), resamples=500)
        panel.fill_between(thresholds, band.low, band.high, color=colour, alpha=0.18, lw=0)
        panel.plot(thresholds, band.estimate, color=colour, ls=line, label=name)
    panel.set(xlabel="score", ylabel="share of runs above", ylim=(-0.02, 1.02))
    panel.set_title(f"{c.tier}: {len(c.seeds)} seeds, 95 % bands", loc="left")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False)


def _changes(panel: Any, c: Comparison) -> None:
    for place, row in enumerate(reversed(c.rows)):
        colour = VERDICTS[row.verdict]
        unit = c.margin if row.margin is None else row.margin
        lower, upper, change = row.lower / unit, row.upper / unit, row.change / unit
        panel.plot([lower, upper], [place, place], color=colour, lw=1.4)
        for end in (lower, upper):
            panel.plot([end, end], [place - 0.14, place + 0.14], color=colour, lw=1.4)
        panel.plot([change], [place], MARKS[row.verdict], color=colour, ms=5)
    panel.axvline(0, color=INK, lw=0.7)
    panel.axvline(-1, color=INK, lw=0.9, ls=(0, (4, 2)))
    panel.set_yticks(range(len(c.rows)), [row.name for row in reversed(c.rows)])
    panel.set(xlabel="change in margins, one-sided bounds", ylim=(-0.6, len(c.rows) - 0.4))
    left, right = panel.get_xlim()
    panel.set_xlim(min(left, -1.6), max(right, 0.6))
    panel.set_title("dashed: one margin lost", loc="left")
    panel.spines[["top", "right"]].set_visible(False)
