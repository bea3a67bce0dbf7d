"""How much of the difference between trials is the luck of their seeds: a table for the page."""

from __future__ import annotations

import html

from rl_eval.records.table import Table, scores
from rl_eval.report.page import Section
from rl_eval.report.sweep.summary import line
from rl_eval.report.ticks import number
from rl_eval.stats.objective import SeedNoise, seed_noise

DOUBTFUL = 0.5  # reliability below which an order of trials is mostly noise
HEAD = ("env", "optimizer", "one run", "mean of a trial", "reliability")
NOTE = (
    "Standard deviation of one run about the mean of its trial, over all trials, and what is left "
    "of it in that mean. Reliability: the share of the variance between trials that is not seed "
    "noise; the rest of their order is luck."
)


def section(table: Table) -> Section | None:
    """Rows for each environment and optimizer; None with one seed."""
    if len(table.sweep.seeds) < 2:
        return None
    lines, words = [line(HEAD, "th")], [NOTE]
    for env in table.envs:
        for optimizer in table.optimizers:
            found = of_rows(table, env, optimizer)
            if found is None:
                continue
            cells = (number(found.per_run), number(found.per_trial), f"{found.reliability:.0%}")
            lines.append(line((env, optimizer, *cells)))
            if found.reliability < DOUBTFUL:
                words.append(f"{optimizer} in {env}: mostly seed noise; too few seeds to say more.")
    body = f'<div class="scroll"><table class="summary">{"".join(lines)}</table></div>'
    body += "".join(f"<p>{html.escape(text)}</p>" for text in words)
    return Section("noise", "Seed noise", body) if len(lines) > 1 else None


def of_rows(table: Table, env: str, optimizer: str) -> SeedNoise | None:
    """Over the trials that have a score; None if these are fewer than two."""
    rows = table.scored[env, optimizer]
    return seed_noise(scores(rows)) if len(rows) > 1 else None
