"""Asynchronous successive halving: a run that is not among the best at a rung stops there.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), in the variant that
stops runs and does not take them up again. So those that go on are never interrupted, and what
they record is exactly what a sweep without pruning records.

Each run keeps its values at the rungs in `rungs.json` of its own directory and reads those of the
others, so that a sweep can be killed, resumed, and spread over machines that share its
directory. Runs are compared with those of the same environment, optimizer and seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.config import RunConfig
from rl_eval.records.run import (
    EVALUATIONS,
    METRICS,
    SCHEMA,
    RecordError,
    RunDirectory,
    kept_lines,
    read_object,
    write_json,
)
from rl_eval.records.sweep import Pruning, read_sweep
from rl_eval.run.stop import Terminated
from sweeps.execution.work import Ending

FILE = "rungs.json"
ASHA = Pruning("asha", 3, (1 / 9, 1 / 3))


class Pruned(Terminated):
    """Raised where a run stops at a rung; its record is then closed as that of a stopped run."""

    def __init__(self, rung: int, value: float, rank: int, of: int) -> None:
        super().__init__()
        self.facts = {"rung": rung, "rung_return": value}
        self.reason = f"rank {rank} of {of} at {rung:,} env steps"

    def record(self, directory: Path, seed: int) -> tuple[Ending, str, None]:
        """Say so in the record of the run; how it ended, why, and that it has no score."""
        RunDirectory(directory).set_status("pruned", self.reason, seed=seed, **self.facts)
        return "pruned", self.reason, None


class Judge:
    """Decides on the run of one seed in a directory of a sweep that prunes."""

    def __init__(
        self, pruning: Pruning, directory: Path, config: RunConfig, others: list[Path]
    ) -> None:
        self._reduction = pruning.reduction
        self._rungs = [round(share * config.total_timesteps) for share in pruning.rungs]
        self._directory, self._others = directory, others
        self._kept = _read(directory)

    def look(self, env_steps: int) -> None:
        """Judge the run at each rung that it has passed; to be called once it has gone further.

        By then all is recorded that happened up to the rung, so what it is judged by does not
        depend on when this is called. A run of which no game has ended by then goes on.

        Raises:
            Pruned: it is not among the best.
        """
        for rung in self._rungs:
            if env_steps > rung and not self._passed(rung):
                self._judge(rung)

    def diverged(self, score: float | None) -> None:
        """The others are compared with it too, at the score of divergence."""
        for rung in self._rungs:
            if score is not None and str(rung) not in self._kept:
                self._keep(rung, score, False)

    def _passed(self, rung: int) -> bool:
        return self._kept.get(str(rung), {}).get("passed") is True

    def _judge(self, rung: int) -> None:
        value = _value(self._directory, rung)
        if value is None:
            return
        self._keep(rung, value, None)
        found = [_read(path).get(str(rung), {}).get("value") for path in self._others]
        values = [v for v in found if isinstance(v, (int, float))] + [value]
        rank = 1 + sum(v > value for v in values)  # equals go on together
        passed = rank <= max(1, len(values) // self._reduction)
        self._keep(rung, value, passed)
        if not passed:
            raise Pruned(rung, value, rank, len(values))

    def _keep(self, rung: int, value: float, passed: bool | None) -> None:
        self._kept[str(rung)] = {"value": value, "passed": passed}
        write_json(self._directory / FILE, {"schema": SCHEMA, "rungs": self._kept})


def judge_of(directory: Path, config: RunConfig) -> Judge | None:
    """Who decides on the run in `SWEEP/trials/<id>/seed-<n>`; None if the sweep does not prune."""
    trial, sweep = directory.parent, directory.parents[2]
    if not (sweep / "sweep.json").is_file():
        return None
    record = read_sweep(sweep)
    if record.pruning is None:
        return None
    others = [
        trial.with_name(p.id) / directory.name
        for p in record.planned
        if (p.env, p.optimizer) == (config.env.id, config.optimizer.name) and p.id != trial.name
    ]
    return Judge(record.pruning, directory, config, others)


def _value(directory: Path, rung: int) -> float | None:
    """The last return up to a rung: of evaluations if the run has them, else of training."""
    name, column = METRICS, "episode_return_mean"
    if (directory / EVALUATIONS).is_file():
        name, column = EVALUATIONS, "return_mean"
    try:
        rows = kept_lines(directory / name)[0]
    except RecordError:
        return None
    pairs = [(row.get("env_steps"), row.get(column)) for row in rows]
    number = (int, float)
    found = [x for n, x in pairs if isinstance(n, int) and n <= rung and isinstance(x, number)]
    return float(found[-1]) if found else None


def _read(directory: Path) -> dict[str, Any]:
    try:
        found = read_object(directory / FILE).get("rungs")
    except RecordError:
        return {}
    good = isinstance(found, Mapping) and all(isinstance(v, Mapping) for v in found.values())
    return dict(found) if good and found else {}
