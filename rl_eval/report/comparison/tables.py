"""The tables of a comparison, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rl_eval.records.scored import OBJECTIVES
from rl_eval.records.table import Row
from rl_eval.report.comparison.estimates import Aggregates, Final
from rl_eval.report.comparison.figures import AGGREGATE_TITLES
from rl_eval.report.comparison.scores import Comparison, Key, normalised
from rl_eval.report.sweep.summary import line
from rl_eval.report.ticks import number
from rl_eval.stats.bootstrap import Interval

NONE = "-"
OUTCOMES = ("completed", "diverged", "failed", "running", "missing")  # nothing is pruned


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table that scrolls; the first `texts` columns are words."""
    lines = line(head, "th") + "".join(map(line, rows))
    return f'<div class="scroll"><table class="compare texts-{texts}">{lines}</table></div>'


def ranged(found: Interval | None, runs: int = 2) -> str:
    """An estimate and its interval, which one run does not have."""
    if found is None:
        return NONE
    estimate, low, high = (number(round(float(value), 3)) for value in found)
    return estimate if runs < 2 else f"{estimate} [{low}, {high}]"


def aggregate_table(
    comparison: Comparison, found: Aggregates, above: Mapping[str, Interval]
) -> str:
    """A row per optimizer: aggregates of normalised scores, and the chance to beat the baseline."""
    baseline = comparison.record.baseline
    head = ["optimizer", "runs", *AGGREGATE_TITLES.values(), f"chance above {baseline}"]
    rows = []
    for name in comparison.optimizers:
        seeds = found.seeds.get(name, [])
        values = found.values.get(name, {})
        cells = [ranged(values.get(kind), len(seeds)) for kind in AGGREGATE_TITLES]
        runs = len(comparison.scored_seeds(name, comparison.envs))
        chance = "baseline" if name == baseline else ranged(above.get(name), runs)
        rows.append([name, str(len(seeds) * len(found.envs)), *cells, chance])
    return table(head, rows)


def final_table(comparison: Comparison, found: Mapping[Key, Final]) -> str:
    """A row per environment and optimizer."""
    baseline = comparison.record.baseline
    what = OBJECTIVES[comparison.table.objective]
    head = ["environment", "optimizer", "runs", what, "normalised", f"difference to {baseline}"]
    rows = []
    for (env, name), final in found.items():
        mean = final.mean
        unit = None if mean is None else normalised(env, float(mean.estimate))
        cells = [ranged(mean, len(final.scores)), NONE if unit is None else number(float(unit))]
        gain = "baseline" if name == baseline else ranged(final.gain)
        rows.append([env, name, str(len(final.scores)), *cells, gain])
    return table(head, rows, texts=2)


def outcome_table(comparison: Comparison) -> str:
    """What became of every run, those of tuning beside."""
    head = ["environment", "optimizer", "runs", *OUTCOMES]
    if comparison.tuning:
        head += ["diverged in tuning", "failed in tuning"]
    rows = []
    for env in comparison.envs:
        for name in comparison.optimizers:
            row = comparison.row(env, name)
            cells = [env, name, str(len(row.seeds)), *(str(row.count(s)) for s in OUTCOMES)]
            if comparison.tuning:
                tried = tuning_rows(comparison, env, name)
                runs = sum(len(trial.seeds) for trial in tried)
                for status in ("diverged", "failed"):
                    count = sum(trial.count(status) for trial in tried)
                    cells.append(f"{count} of {runs}" if runs else NONE)
            rows.append(cells)
    return table(head, rows, texts=2)


def tuning_rows(comparison: Comparison, env: str, optimizer: str) -> list[Row]:
    """The trials that were tried."""
    return list(comparison.tuning.groups.get((env, optimizer), ())) if comparison.tuning else []


def tuning_table(comparison: Comparison) -> str:
    """What was chosen, from how many, how it scored while it was chosen and how it does now."""
    axes = comparison.table.axes
    names = [axis.name for axis in axes]
    head = ["environment", "optimizer", *names, "tried", "score in tuning", "score reported"]
    rows = []
    for env in comparison.envs:
        for name in comparison.optimizers:
            row, tried = comparison.row(env, name), tuning_rows(comparison, env, name)
            best = next((t.objective for t in tried if t.values == row.values), None)
            chosen = [
                number(row.values[axis.key]) if axis.key in row.values else NONE for axis in axes
            ]
            scores = [NONE if s is None else number(s) for s in (best, row.objective)]
            rows.append([env, name, *chosen, str(len(tried) or NONE), *scores])
    return table(head, rows, texts=2)


def at_the_end(comparison: Comparison) -> list[str]:
    """Which choices lie at an end of what was tried: beyond it may be better ones."""
    found = []
    for env in comparison.envs:
        for name in comparison.optimizers:
            row, tried = comparison.row(env, name), tuning_rows(comparison, env, name)
            for axis in comparison.table.sweep.axes[name]:
                values: list[Any] = [trial.values[axis.key] for trial in tried]
                ends = () if axis.scale == "choice" else (min(values), max(values))
                if row.values[axis.key] in ends:
                    found.append(f"{axis.name} of {name} in {env}")
    return found


COSTS: Mapping[str, tuple[str, str]] = {
    "state_multiple": ("state / parameters", ""),
    "optimizer_step_ms": ("optimizer step", " ms"),
    "compile_s": ("compilation", " s"),
    "sps": ("env steps/s", ""),
}


def cost_table(comparison: Comparison) -> str:
    """Costs, and how many times the baseline's they are, where the hardware was the same."""
    head = ["environment", "optimizer", *(title for title, _ in COSTS.values())]
    rows = []
    for env in comparison.envs:
        baseline = comparison.costs[env, comparison.record.baseline]
        for name in comparison.optimizers:
            cost = comparison.costs[env, name]
            rows.append([env, name, *(_cost(cost, baseline, column) for column in COSTS)])
    return table(head, rows, texts=2)


def cost_ratio(cost: Mapping[str, Any], baseline: Mapping[str, Any], column: str) -> float | None:
    """Over the baseline's; None where they cannot be compared."""
    ours, theirs = cost.get(column), baseline.get(column)
    numbers = isinstance(ours, (int, float)) and isinstance(theirs, (int, float))
    alike = column == "state_multiple" or cost.get("hardware") == baseline.get("hardware")
    return ours / theirs if numbers and theirs and alike else None


def _cost(cost: Mapping[str, Any], baseline: Mapping[str, Any], column: str) -> str:
    value, ratio = cost.get(column), cost_ratio(cost, baseline, column)
    if not isinstance(value, (int, float)):
        return NONE
    text = (f"{value:,.0f}" if column == "sps" else f"{value:.3g}") + COSTS[column][1]
    return text if ratio is None or cost is baseline else f"{text} ({ratio:.3g}x)"
