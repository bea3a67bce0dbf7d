"""The scores of a comparison: what each optimizer's runs ended with, as arrays [run, env]."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_eval.envs.scores import min_max_normalised
from rl_eval.records.comparison import CompareRecord, read_compare
from rl_eval.records.run import RecordError, read_object
from rl_eval.records.scored import Objective
from rl_eval.records.table import Row, Table, read_table
from rl_eval.text import csv_cell, one_line

Key = tuple[str, str]
"""Environment and optimizer."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The records of a comparison.

    `machines`: the hardware of all runs. `costs`: cost.json as it is, with `hardware` beside; empty
    where there is none.
    """

    record: CompareRecord
    table: Table
    tuning: Table | None
    machines: tuple[str, ...]
    costs: Mapping[Key, Mapping[str, Any]]

    @property
    def envs(self) -> tuple[str, ...]:
        return self.record.envs

    @property
    def optimizers(self) -> tuple[str, ...]:
        return self.record.optimizers

    @property
    def others(self) -> tuple[str, ...]:
        """All optimizers but the baseline."""
        return tuple(name for name in self.optimizers if name != self.record.baseline)

    @property
    def problems(self) -> tuple[str, ...]:
        return self.table.problems + (self.tuning.problems if self.tuning else ())

    def row(self, env: str, optimizer: str) -> Row:
        """The runs of an optimizer in an environment."""
        return self.table.groups[env, optimizer][0]

    def scored_seeds(self, optimizer: str, envs: Sequence[str]) -> list[int]:
        """The seeds on which an optimizer has a score in every environment."""
        found = [
            {run.seed for run in self.row(env, optimizer).seeds if run.objective is not None}
            for env in envs
        ]
        return sorted(set.intersection(*found)) if found else []

    def scores(
        self, optimizer: str, envs: Sequence[str], seeds: Sequence[int]
    ) -> Float[np.ndarray, "run env"]:
        """Raw scores; every seed must have one."""
        by_seed = [
            {run.seed: run.objective for run in self.row(env, optimizer).seeds} for env in envs
        ]
        values = [[scores[seed] for scores in by_seed] for seed in seeds]
        return np.array(values, np.float64).reshape(len(seeds), len(envs))


def read_comparison(directory: Path, objective: Objective = "final") -> Comparison:
    """The comparison in a directory, finished or not.

    Raises:
        RecordError: none is there, or nothing of it but tuning.
    """
    record = read_compare(directory)
    if not (directory / "sweep.json").is_file():
        raise RecordError(
            f"{directory}: tuning has not ended; `rl-eval compare --resume {directory}` goes on"
        )
    table = read_table(directory, objective)
    rows = {(row.env, row.optimizer): row for row in table.rows}
    wanted = {(env, name) for env in record.envs for name in record.optimizers}
    if set(rows) != wanted or len(rows) < len(table.rows):
        raise RecordError(f"{directory}: sweep.json does not plan what compare.json compares")
    runs = (
        hardware(_plain(directory / "trials" / row.id / f"seed-{run.seed}" / "config.json"))
        for row in table.rows
        for run in row.seeds
    )
    machines = tuple(sorted({name for name in runs if name}))
    costs = {key: _cost(directory / "cost" / row.id) for key, row in rows.items()}
    tuning = read_table(directory / "tuning") if record.tuning else None
    return Comparison(record, table, tuning, machines, costs)


def normalised(env: str, scores: Any) -> Any:
    """Scores by the environment's published references; None where it has none."""
    try:
        return min_max_normalised(env, scores)
    except ValueError:
        return None


def normalisable(envs: Sequence[str]) -> tuple[str, ...]:
    """The environments whose scores can be aggregated with others'."""
    return tuple(env for env in envs if normalised(env, 0.0) is not None)


def write_csv(comparison: Comparison, path: Path) -> Path:
    """One line per reported run; an empty cell is a value that it does not have."""
    keys = [axis.key for axis in comparison.table.axes]
    head = ["env", "optimizer", "trial", *keys, "seed", "status", "score", "normalised", "reason"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(csv_cell, head))
        for row in comparison.table.rows:
            tuned = [row.values.get(key) for key in keys]
            for run in row.seeds:
                score = run.objective
                above = None if score is None else normalised(row.env, score)
                reason = one_line(run.reason or "") or None
                which = [row.env, row.optimizer, row.id, *tuned]
                cells = [*which, run.seed, run.status, score, above, reason]
                writer.writerow(map(csv_cell, cells))
    return path


def _plain(file: Path) -> Mapping[str, Any]:
    try:
        return read_object(file)
    except RecordError:
        return {}


def _cost(folder: Path) -> Mapping[str, Any]:
    """cost.json with the hardware that it was measured on."""
    cost = _plain(folder / "cost.json")
    return {**cost, "hardware": hardware(_plain(folder / "config.json"))} if cost else {}


def hardware(config: Mapping[str, Any]) -> str | None:
    """What a run's config.json says that it ran on."""
    facts = config.get("provenance")
    if not isinstance(facts, Mapping) or "cpu" not in facts:
        return None
    devices = facts.get("devices")
    names = sorted({str(name) for name in devices}) if isinstance(devices, list) else []
    accelerators = [name for name in names if name.lower() != "cpu"]
    processor = f"{facts['cpu']}, {facts.get('cpu_count')} cores"
    return " and ".join([processor, *accelerators])
