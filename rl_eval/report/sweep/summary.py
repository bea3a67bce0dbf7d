"""What was run, and per optimizer how much of its space is good: a table for the page."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from rl_eval.envs.scores import random_score
from rl_eval.records.scored import OBJECTIVES
from rl_eval.records.table import Row, Table
from rl_eval.report.page import Section
from rl_eval.report.ticks import number
from rl_eval.stats.landscape import SHARES, basin_width

FEW_TRIALS = 16  # below, shares of trials say little
HEAD = ("env", "optimizer", "trials", "runs", "diverged", "failed", "missing", "best", "median")
STYLE = """
.scroll, pre { overflow-x: auto; }
.summary td, .summary th { padding: 0.15em 0.6em; text-align: right; }
.summary td:nth-child(-n+2), .summary th:nth-child(-n+2) { text-align: left; }
"""


def section(table: Table) -> Section:
    """The table, and the words it needs."""
    head = (*HEAD, *(f"within {share:.0%}" for share in SHARES))
    lines = [line(head, "th")]
    for env in table.envs:
        for optimizer in table.optimizers:
            lines.append(line([env, optimizer, *cells(table.groups[env, optimizer])]))
    body = f'<div class="scroll"><table class="summary">{"".join(lines)}</table></div>'
    words = "".join(f"<p>{html.escape(text)}</p>" for text in _words(table))
    commands = html.escape("\n".join(table.sweep.commands))
    return Section("summary", "What was run", f"{body}{words}<pre>{commands}</pre>", style=STYLE)


def cells(rows: Sequence[Row]) -> list[str]:
    """Counts and scores of the trials of one optimizer in one environment."""
    scores = np.array([row.objective for row in rows if row.objective is not None], np.float64)
    counts = [sum(row.count(status) for row in rows) for status in ("diverged", "failed")]
    missing = sum(row.count("missing") + row.count("running") for row in rows)
    shown = [str(len(rows)), str(sum(len(row.seeds) for row in rows)), *map(str, counts)]
    shown.append(str(missing))
    if not scores.size:
        return shown + ["-"] * (2 + len(SHARES))
    shown += [number(float(scores.max())), number(float(np.median(scores)))]
    floor = random_score(rows[0].env)
    if floor is None:
        return shown + ["-"] * len(SHARES)
    return shown + [f"{width:.0%}" for width in basin_width(scores, floor=floor)]


def _words(table: Table) -> list[str]:
    sweep = table.sweep
    seeds = ", ".join(map(str, sweep.seeds))
    words = [
        f"Design: {sweep.design}, seed {sweep.design_seed}. Every trial was run with the seeds "
        f"{seeds}; its score is the mean over them of the {OBJECTIVES[table.objective]}.",
        "A diverged run counts at its stated score. A trial of which a seed failed or is missing "
        "has no score.",
        "Within: the share of scored trials that reach so much of the way from random play to the "
        "best trial; a dash where the score of random play is not known.",
    ]
    if sweep.pruning is not None:
        pruned = sum(row.count("pruned") for row in table.rows)
        words.append(
            f"A tuning sweep: {pruned} runs were pruned by asynchronous successive halving (Li et "
            f"al., MLSys 2020; one in {sweep.pruning.reduction} goes on at each of "
            f"{', '.join(f'{share:.0%}' for share in sweep.pruning.rungs)} of the env steps) and "
            "have no score. What is scored was selected for being good: shares, medians and "
            "importances do not tell how sensitive an optimizer is."
        )
    fewest = min(map(len, table.groups.values()))
    if sweep.points is not None and fewest < sweep.points:
        words.append(
            f"The design has {sweep.points} points for each environment and optimizer, of which "
            f"at least {fewest} are different settings: choices and whole numbers repeat."
        )
    if fewest < FEW_TRIALS:
        words.append(f"With {fewest} trials, shares of trials and medians say little.")
    if len(sweep.seeds) < 2:
        words.append("With one seed, noise cannot be told from the effect of a hyperparameter.")
    return words


def line(texts: Sequence[str], tag: str = "td") -> str:
    """A row of a table."""
    return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"
