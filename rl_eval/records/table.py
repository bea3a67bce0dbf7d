"""The table a report reads: one row per planned trial, from the files of a sweep directory."""

from __future__ import annotations

import csv
import dataclasses
import statistics
from collections.abc import Mapping
from pathlib import Path

from rl_eval.records.scored import STATUSES, Objective, SeedRun, read_run
from rl_eval.records.sweep import AxisRecord, PlannedTrial, Scale, Setting, SweepRecord, read_sweep
from rl_eval.text import csv_cell


@dataclasses.dataclass(frozen=True)
class Row:
    """A trial with all its seeds, whatever became of them."""

    id: str
    optimizer: str
    env: str
    values: Mapping[str, Setting]
    """By `AxisRecord.key`; an axis that the optimizer lacks is absent."""
    seeds: tuple[SeedRun, ...]

    @property
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

    @property
    def envs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.env for row in self.rows))

    @property
    def optimizers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.optimizer for row in self.rows))

    @property
    def axes(self) -> tuple[AxisRecord, ...]:
        """The axes of all optimizers, each once, over the union of its ranges."""
        merged: dict[str, AxisRecord] = {}
        for optimizer in self.optimizers:
            for axis in self.sweep.axes[optimizer]:
                old = merged.get(axis.key)
                merged[axis.key] = axis if old is None else union(old, axis)
        shared = [a for a in merged.values() if not a.key.startswith("optimizer.")]
        return tuple([a for a in merged.values() if a not in shared] + shared)


def read_table(directory: Path, objective: Objective = "final") -> Table:
    """The table of a sweep directory.

    A seed whose files are missing or torn keeps its place in the table as `missing` or with what
    could be read; what was left out is in `problems`.

    Raises:
        RecordError: sweep.json is missing or not one.
    """
    sweep = read_sweep(directory)
    problems: list[str] = []
    rows = tuple(_row(directory, trial, sweep, objective, problems) for trial in sweep.planned)
    known = {trial.id for trial in sweep.planned}
    trials = directory / "trials"
    for path in sorted(trials.iterdir()) if trials.is_dir() else ():
        if path.name not in known:
            problems.append(f"{path}: not a planned trial, left out")
    return Table(sweep, objective, rows, tuple(problems))


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
            values = [row.values.get(key) for key in axes]
            counts = [row.count(status) for status in STATUSES]
            scores = [run.objective for run in row.seeds]
            cells = [row.id, row.env, row.optimizer, *values, *counts, row.objective, *scores]
            writer.writerow(map(csv_cell, cells))
    return path


def union(a: AxisRecord, b: AxisRecord) -> AxisRecord:
    """One axis for both; a choice of numbers beside a range becomes part of the range."""
    values = tuple(dict.fromkeys(a.values + b.values))
    plain = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    numbers = list(map(float, plain))
    if a.scale == "choice" and b.scale == "choice":
        ordered = tuple(sorted(numbers)) if len(numbers) == len(values) else values
        return dataclasses.replace(a, values=ordered)
    ends = [end for end in (a.low, a.high, b.low, b.high, *numbers) if end is not None]
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
