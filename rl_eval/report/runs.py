"""One seed of a trial, from the files of its run directory."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from rl_eval.report.files import RecordError, read_lines, read_object
from rl_eval.report.sweep_record import PlannedTrial

Objective = Literal["final", "auc", "best"]
OBJECTIVES: dict[Objective, str] = {
    "final": "final return",
    "auc": "mean return over training",
    "best": "best return",
}
STATUSES = ("completed", "diverged", "failed", "running", "missing")


@dataclasses.dataclass(frozen=True)
class Curve:
    """Mean full-game return (unclipped) at counts of agent steps per seed.

    `source` is eval.jsonl (games of their own) or, where there is none, metrics.jsonl (games that
    ended while training).
    """

    env_steps: tuple[int, ...] = ()
    returns: tuple[float, ...] = ()
    source: str = ""


@dataclasses.dataclass(frozen=True)
class SeedRun:
    """One seed of a trial. `objective` is None where there is nothing to score."""

    seed: int
    status: str
    objective: float | None = None
    curve: Curve = Curve()
    reason: str | None = None


def read_run(
    folder: Path, seed: int, trial: PlannedTrial, objective: Objective, problems: list[str]
) -> SeedRun:
    """The run in `folder`, which should be `seed` of `trial`; adds to `problems`."""
    if not folder.is_dir():
        return SeedRun(seed, "missing")
    try:
        config: Any = read_object(folder / "config.json").get("config")
        facts = read_object(folder / "status.json")
    except RecordError as error:
        problems.append(str(error))
        return SeedRun(seed, "missing", reason=str(error))
    status, reason = facts.get("status"), facts.get("reason")
    if status not in STATUSES or not _is_planned(config, trial, seed):
        problems.append(f"{folder}: not the planned trial, left out")
        return SeedRun(seed, "missing", reason="the record is of another run")
    curve = _curve(folder, problems)
    stated = config.get("diverged_score")
    score = _score(status, curve, facts.get("final_return"), stated, objective)
    return SeedRun(seed, status, score, curve, reason if isinstance(reason, str) else None)


def _is_planned(config: Any, trial: PlannedTrial, seed: int) -> bool:
    """Whether a run's configuration is what sweep.json says of its trial."""

    def at(*path: str) -> Any:
        value = config
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def actual(key: str) -> Any:
        section, _, name = key.partition(".")
        return (
            at("optimizer", "hyperparameters", name)
            if section == "optimizer"
            else at(section, name)
        )

    return (
        at("env", "id") == trial.env
        and at("optimizer", "name") == trial.optimizer
        and at("seeds") == [seed]
        and all(actual(key) == value for key, value in trial.values.items())
    )


def _curve(folder: Path, problems: list[str]) -> Curve:
    sources = (("eval.jsonl", "return_mean"), ("metrics.jsonl", "episode_return_mean"))
    for name, column in sources:
        if not (folder / name).is_file():
            continue
        try:
            lines, problem = read_lines(folder / name)
        except RecordError as error:
            problems.append(str(error))
            continue
        if problem:
            problems.append(problem)
        pairs = [(line.get("env_steps"), line.get(column)) for line in lines]
        # By step: a resumed run may repeat the lines after its last checkpoint.
        points = {int(s): float(r) for s, r in pairs if _finite(s) and _finite(r)}  # type: ignore[arg-type]
        if points:
            steps, returns = zip(*sorted(points.items()), strict=True)
            return Curve(steps, returns, name)
    return Curve()


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _score(
    status: str, curve: Curve, final: Any, stated: Any, objective: Objective
) -> float | None:
    """The objective of a run that ended.

    Evaluations go on after divergence with the stated score, so they are taken as they are. A
    training curve stops there: the run then scores what its configuration states, or nothing.
    """
    if status not in ("completed", "diverged"):
        return None
    if curve.source == "eval.jsonl":
        return _MEASURES[objective](curve.env_steps, curve.returns)
    if status == "diverged":
        return float(stated) if _finite(stated) else None
    if objective == "final" and _finite(final):
        return float(final)
    return _MEASURES[objective](curve.env_steps, curve.returns) if curve.returns else None


def _area(steps: Sequence[int], returns: Sequence[float]) -> float:
    """Mean height under the curve, trapezoids over agent steps."""
    width = steps[-1] - steps[0]
    if width <= 0:
        return statistics.fmean(returns)
    pieces = zip(steps, steps[1:], returns, returns[1:], strict=False)
    return sum((s1 - s0) * (r0 + r1) / 2 for s0, s1, r0, r1 in pieces) / width


_MEASURES: dict[str, Callable[[Sequence[int], Sequence[float]], float]] = {
    "final": lambda steps, returns: returns[-1],
    "auc": _area,
    "best": lambda steps, returns: max(returns),
}
