"""The table a report reads: one row per planned trial, from the files of a sweep directory."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_eval.records.scored import STATUSES, Objective, SeedRun, read_run
from rl_eval.records.sweep import AxisRecord, PlannedTrial, Scale, Setting, SweepRecord, read_sweep
from rl_eval.stats.values import distinct
from rl_eval.text import csv_cell

TOLD = 100  # trials between two words of how far reading has come


@dataclasses.dataclass(frozen=True)
class Row:
    """A trial with all its seeds, whatever became of them."""

    id: str
    optimizer: str
    env: str
    values: Mapping[str, Setting]
    """By `AxisRecord.key`; an axis that the optimizer lacks is absent."""
    seeds: tuple[SeedRun, ...]

    @functools.cached_property
    def objective(self) -> float | None:
        """Mean over seeds; None unless every seed has one: the rest would flatter the trial."""
        scores = [run.objective for run in self.seeds]
        present = [s for s in scores if s is not None]
        return statistics.fmean(present) if present and len(present) == len(scores) else None

    def count(self, status: str) -> int:
        return sum(run.status == status for run in self.seeds)


@dataclasses.dataclass(frozen=True)
class Table:
    """What a sweep planned and what came of it. `problems`: files left out, a line each."""

    sweep: SweepRecord
    objective: Objective
    rows: tuple[Row, ...]
    problems: tuple[str, ...]

    @functools.cached_property
    def envs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.env for row in self.rows))

    @functools.cached_property
    def optimizers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.optimizer for row in self.rows))

    @functools.cached_property
    def groups(self) -> Mapping[tuple[str, str], tuple[Row, ...]]:
        """The trials of each environment and optimizer; () where there are none."""
        found: dict[tuple[str, str], list[Row]] = {
            (env, optimizer): [] for env in self.envs for optimizer in self.optimizers
        }
        for row in self.rows:
            found[row.env, row.optimizer].append(row)
        return {key: tuple(rows) for key, rows in found.items()}

    @functools.cached_property
    def scored(self) -> Mapping[tuple[str, str], tuple[Row, ...]]:
        """As `groups`, of the trials that have a score, the best last."""
        return {
            key: tuple(sorted((row for row in rows if row.objective is not None), key=_rank))
            for key, rows in self.groups.items()
        }

    @functools.cached_property
    def axes(self) -> tuple[AxisRecord, ...]:
        """The axes of all optimizers, each once, over the union of its ranges."""
        merged: dict[str, AxisRecord] = {}
        for optimizer in self.optimizers:
            for axis in self.sweep.axes[optimizer]:
                old = merged.get(axis.key)
                merged[axis.key] = axis if old is None else union(old, axis)
        shared = [a for a in merged.values() if not a.key.startswith("optimizer.")]
        return tuple([a for a in merged.values() if a not in shared] + shared)


def scores(rows: Sequence[Row]) -> Float[np.ndarray, "trial seed"]:
    """Of trials that have one."""
    return np.array([[run.objective for run in row.seeds] for row in rows], np.float64)


def read_table(
    directory: Path, objective: Objective = "final", tell: Callable[[str], Any] = str
) -> Table:
    """The table of a sweep directory; `tell` is told how far it has come.

    A seed whose files are missing or torn keeps its place in the table as `missing` or with what
    could be read; what was left out is in `problems`.

    Raises:
        RecordError: sweep.json is missing or not one.
    """
    sweep = read_sweep(directory)
    problems: list[str] = []
    rows = []
    for i, trial in enumerate(sweep.planned):
        if i % TOLD == 0:
            tell(f"reading, trial {i:,} of {len(sweep.planned):,}")
        rows.append(_row(directory, trial, sweep, objective, problems))
    known = {trial.id for trial in sweep.planned}
    trials = directory / "trials"
    for path in sorted(trials.iterdir()) if trials.is_dir() else ():
        if path.name not in known:
            problems.append(f"{path}: not a planned trial, left out")
    return Table(sweep, objective, tuple(rows), tuple(problems))


def write_csv(table: Table, path: Path) -> Path:
    """One line per trial; an empty cell is a value the trial does not have."""
    axes = [axis.key for axis in table.axes]
    seeds = table.sweep.seeds
    head = ["trial", "env", "optimizer", *axes, *STATUSES, "objective"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        head += [f"objective_seed_{seed}" for seed in seeds]
        writer.writerow(map(csv_cell, head))
        for row in table.rows:
            values = [_cell(row.values[key]) if key in row.values else None for key in axes]
            counts = [row.count(status) for status in STATUSES]
            scores = [run.objective for run in row.seeds]
            cells = [row.id, row.env, row.optimizer, *values, *counts, row.objective, *scores]
            writer.writerow(map(csv_cell, cells))
    return path


def _cell(value: Setting) -> Setting:
    """As in JSON; text stands as it is, unless it would be read as something else."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, str):
        return value
    try:
        json.loads(value)
    except ValueError:
        return value if value.strip() else json.dumps(value)
    return json.dumps(value)


def _rank(row: Row) -> tuple[float, str]:
    return row.objective or 0.0, row.id


def union(a: AxisRecord, b: AxisRecord) -> AxisRecord:
    """One axis for both; a choice of numbers beside a range becomes part of the range."""
    values = tuple(distinct(a.values + b.values))
    plain = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if a.scale == "choice" and b.scale == "choice":
        ordered = tuple(sorted(plain)) if len(plain) == len(values) else values
        return dataclasses.replace(a, values=ordered)
    ends = [end for end in (a.low, a.high, b.low, b.high, *map(float, plain)) if end is not None]
    scale: Scale = a.scale if a.scale == b.scale else "linear"
    if "log" in (a.scale, b.scale):
        # A choice may have a zero, which a logarithmic axis draws on a tick of its own.
        ends = [end for end in ends if end > 0 or "choice" not in (a.scale, b.scale)]
        scale = "log" if min(ends) > 0 else "linear"
    return AxisRecord(a.key, a.name, scale, min(ends), max(ends), help=a.help or b.help)


def _row(
    directory: Path,
    trial: PlannedTrial,
    sweep: SweepRecord,
    objective: Objective,
    problems: list[str],
) -> Row:
    folder = directory / "trials" / trial.id
    seeds = ((folder / f"seed-{seed}", seed) for seed in sweep.seeds)
    runs = tuple(read_run(path, seed, trial, objective, problems) for path, seed in seeds)
    return Row(trial.id, trial.optimizer, trial.env, trial.values, runs)
