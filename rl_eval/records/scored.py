"""One seed of a trial, from the files of its run directory.

They are read as plain JSON and not as a `RunConfig`: a report outlives the version of the program
that trained.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rl_eval.records.run import (
    EVALUATIONS,
    METRICS,
    TRAINED_WITH,
    RecordError,
    kept_lines,
    read_object,
)
from rl_eval.records.sweep import PlannedTrial
from rl_eval.stats.objective import area_under_curve, best_checkpoint
from rl_eval.stats.values import same

Objective = Literal["final", "auc", "best"]
OBJECTIVES: dict[Objective, str] = {
    "final": "final return",
    "auc": "mean return over training",
    "best": "return of the best checkpoint",
}
LARGEST = 1e100  # of a return: squares and sums of larger ones have no number
STATUSES = ("completed", "diverged", "pruned", "failed", "running", "missing")


@dataclasses.dataclass(frozen=True)
class Curve:
    """Mean full-game return (unclipped) at counts of agent steps per seed.

    `games` has the single returns of each evaluation; without evaluations it is empty and the
    curve is of games that ended in training. `wall_s`: seconds of training alone; empty where a
    line does not tell.
    """

    env_steps: tuple[int, ...] = ()
    returns: tuple[float, ...] = ()
    games: tuple[tuple[float, ...], ...] = ()
    wall_s: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class SeedRun:
    """One seed of a trial. `objective` is None where there is nothing to score."""

    seed: int
    status: str
    objective: float | None = None
    curve: Curve = Curve()
    reason: str | None = None
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    """As in config.json, of whatever version of the program."""


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
    given: list[Any] = [facts.get("eval_return"), facts.get("final_return"), *curve.returns]
    if any(_is_number(value) and abs(value) > LARGEST for value in given):
        problems.append(f"{folder}: returns beyond {LARGEST:g} count as {LARGEST:g}")
    curve = dataclasses.replace(curve, returns=tuple(map(_bounded, curve.returns)))
    score = None
    if status == "completed" and not lost_its_score(facts):
        score = measure(objective, curve, _first_number(facts, "eval_return", "final_return"))
    elif status == "diverged":
        # Whatever the objective: its curve ends before the worst of it.
        score = _first_number(facts, "eval_return", "final_return")
    why = reason if isinstance(reason, str) else None
    # The single games have been measured, and are most of what a sweep takes in memory.
    return SeedRun(seed, status, score, dataclasses.replace(curve, games=()), why, config)


def lost_its_score(facts: Mapping[str, Any]) -> bool:
    """Whether a run's last evaluation has no finite return: one of training is none in its place.

    `facts`: its status.json; an older one does not tell, and never lacks that return.
    """
    return facts.get("evaluated") is True and not _is_number(facts.get("eval_return"))


def check_alone(folder: Path) -> None:
    """Refuse a run that was trained beside others, where every run is trained by itself.

    Members of a population are compiled together, which rounds otherwise: scores of runs that
    differ in that differ in more than their optimizers. Older records do not tell.

    Raises:
        RecordError: its record names another number than one, or cannot be read.
    """
    document = read_object(folder / "config.json")
    provenance = document.get("provenance")
    found = provenance.get(TRAINED_WITH, 1) if isinstance(provenance, dict) else 1
    if found != 1:
        raise RecordError(
            f"{folder}: was trained as one of {found} members at once, where every run compared "
            "is trained by itself: how many moves the scores. Delete it to have it trained again"
        )


def measure(objective: Objective, curve: Curve, final: float | None) -> float | None:
    """A completed run as one number; `final` is what its status says it ended with."""
    if objective == "final":
        return final if final is not None else (curve.returns or (None,))[-1]
    if objective == "auc" and len(curve.returns) > 1:
        steps = np.array(curve.env_steps, np.float64)
        return float(area_under_curve(steps, np.array(curve.returns)))
    counts = {len(games) for games in curve.games}
    if objective == "best" and len(counts) == 1 and counts.pop() > 1:
        return float(best_checkpoint(np.array(curve.games)))
    return None


def _is_planned(config: Any, trial: PlannedTrial, seed: int) -> bool:
    """Whether a run's configuration is what sweep.json says of its trial."""

    def at(*path: str) -> Any:
        value = config
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def actual(key: str) -> Any:
        section, _, name = key.partition(".")
        inner = ("hyperparameters",) if section == "optimizer" else ()
        return at(section, *inner, name)

    return (
        at("env", "id") == trial.env
        and at("optimizer", "name") == trial.optimizer
        and at("seeds") == [seed]
        and all(same(actual(key), value) for key, value in trial.values.items())
    )


def _curve(folder: Path, problems: list[str]) -> Curve:
    for name, column in ((EVALUATIONS, "return_mean"), (METRICS, "episode_return_mean")):
        try:
            lines, damaged = kept_lines(folder / name) if (folder / name).is_file() else ([], [])
        except RecordError as error:
            problems.append(str(error))
            continue
        torn = len(lines) + len(damaged)  # a last line that a kill tore is no news
        problems += [f"{folder / name}: line {n} is damaged" for n in damaged if n != torn]
        # By step: a resumed run may repeat the lines after its last checkpoint.
        found = {
            int(line["env_steps"]): line
            for line in lines
            if _is_number(line.get("env_steps")) and _is_number(line.get(column))
        }
        if found:
            steps = tuple(sorted(found))
            ordered = [found[step] for step in steps]
            returns = tuple(float(line[column]) for line in ordered)
            games = tuple(_numbers(line.get("returns")) for line in ordered)
            times = _numbers([line.get("wall_s") for line in ordered])
            return Curve(steps, returns, games if name == EVALUATIONS else (), times)
    return Curve()


def _numbers(values: Any) -> tuple[float, ...]:
    numbers = isinstance(values, list) and all(map(_is_number, values))
    return tuple(map(_bounded, values)) if numbers else ()


def _first_number(facts: dict[str, Any], *names: str) -> float | None:
    found = [facts.get(name) for name in names]
    return next((_bounded(value) for value in found if _is_number(value)), None)


def _bounded(value: Any) -> float:
    return float(min(max(value, -LARGEST), LARGEST))


def _is_number(value: Any) -> bool:
    """Also not an integer that no float holds."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False
