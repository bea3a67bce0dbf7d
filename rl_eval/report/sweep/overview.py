"""All environments of a sweep at once: the same settings in each, scores normalised and averaged.

A score is placed between random play, 0, and a reference, 1 (`rl_eval.envs.scores`). What comes
out are rows of a table like any others, so that every view of an environment is one of the
overview too.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_eval.envs.scores import min_max_normalised
from rl_eval.records.scored import OBJECTIVES, STATUSES, Curve, SeedRun
from rl_eval.records.table import Row, Table
from rl_eval.stats.values import identity

ALL = "all environments"
UNIT = "0 random play, 1 reference"


def extended(table: Table) -> Table:
    """With a row for each setting over all environments, or as given where there is none."""
    if refusal(table) is not None:
        return table
    own = [row for group in settings(table).values() for row in group]
    return dataclasses.replace(table, rows=(*table.rows, *own))


def refusal(table: Table) -> str | None:
    """Why there is no overview, if there is none."""
    if len(table.envs) < 2:
        return f"one environment, {table.envs[0]}, has nothing to be averaged with"
    for env in table.envs:
        try:
            min_max_normalised(env, 0.0)
        except ValueError as error:
            return str(error)
    return None


def settings(table: Table) -> dict[str, tuple[Row, ...]]:
    """By optimizer: a row of normalised scores for each setting that every environment has."""
    return {name: tuple(_over(group) for group in groups(table, name)) for name in table.optimizers}


def unmatched(table: Table, optimizer: str) -> int:
    """How many settings of an optimizer are not planned for every environment."""
    every = {_point(row.values) for row in table.rows if row.optimizer == optimizer}
    return len(every) - len(groups(table, optimizer))


def worth(table: Table, env: str) -> str:
    """What the scores of an environment, or of the overview, are."""
    name = OBJECTIVES[table.objective]
    return f"{name}, normalised" if env == ALL else name


def groups(table: Table, optimizer: str) -> list[list[Row]]:
    """The trials of each setting that every environment has, in the order of `table.envs`."""
    found: dict[Any, dict[str, Row]] = {}
    for row in table.rows:
        if row.optimizer == optimizer:
            found.setdefault(_point(row.values), {})[row.env] = row
    whole = [group for group in found.values() if len(group) == len(table.envs)]
    return [[group[env] for env in table.envs] for group in whole]


def _point(values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((key, identity(values[key])) for key in sorted(values))


def _over(rows: Sequence[Row]) -> Row:
    runs = tuple(_mean(rows, i) for i in range(len(rows[0].seeds)))
    return dataclasses.replace(rows[0], id="+".join(row.id for row in rows), env=ALL, seeds=runs)


def _mean(rows: Sequence[Row], i: int) -> SeedRun:
    """One seed over all environments; it has a score if it has one in each."""
    runs = [row.seeds[i] for row in rows]
    # The worst that happened: it comes last in the order of what can become of a run.
    status = max((run.status for run in runs), key=STATUSES.index)
    scores = [
        float(min_max_normalised(row.env, run.objective))
        for row, run in zip(rows, runs, strict=True)
        if run.objective is not None
    ]
    score = statistics.fmean(scores) if len(scores) == len(runs) else None
    return SeedRun(runs[0].seed, status, score, _curve(rows, i))


def _curve(rows: Sequence[Row], i: int) -> Curve:
    curves = [row.seeds[i].curve for row in rows]
    if len({curve.env_steps for curve in curves}) > 1:
        return Curve()
    heights = [
        min_max_normalised(row.env, np.array(curve.returns))
        for row, curve in zip(rows, curves, strict=True)
    ]
    return Curve(curves[0].env_steps, tuple(np.mean(heights, axis=0).tolist()))
