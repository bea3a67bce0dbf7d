"""Learning curves of a comparison: the mean over seeds at each evaluation, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_eval.records.scored import Curve, SeedRun
from rl_eval.report.comparison.estimates import mean_of, stream
from rl_eval.report.comparison.scores import Comparison
from rl_eval.stats.bootstrap import Interval


class Band(NamedTuple):
    """The mean curve of an optimizer. `wall_s`: mean over runs; empty where it is not known."""

    env_steps: tuple[int, ...]
    wall_s: tuple[float, ...]
    points: tuple[Interval, ...]
    runs: int


def bands(comparison: Comparison, env: str) -> dict[str, Band]:
    """By optimizer: the runs that completed, and those that diverged at their stated score.

    At the evaluations that all completed runs of the environment have.
    """
    runs = {name: comparison.row(env, name).seeds for name in comparison.optimizers}
    steps = _common_steps([run for found in runs.values() for run in found])
    drawn = {name: band(found, steps, env, name) for name, found in runs.items()}
    return {name: found for name, found in drawn.items() if found is not None}


def band(runs: Sequence[SeedRun], steps: Sequence[int], env: str, name: str) -> Band | None:
    """None if no run can be drawn."""
    drawn = [run for run in runs if run.objective is not None and run.status != "failed"]
    if not steps or not drawn:
        return None
    returns = np.array([_returns(run, steps) for run in drawn])
    times = [np.array(_times(run.curve, steps)) for run in drawn if run.status == "completed"]
    known = bool(times) and all(t.size and t[-1] > 0 for t in times)
    return Band(
        tuple(steps),
        tuple(np.mean(times, axis=0).tolist()) if known else (),
        tuple(mean_of(returns, stream("curve", env, name))),
        len(drawn),
    )


def _common_steps(runs: Sequence[SeedRun]) -> list[int]:
    """Of the runs that completed; there is no curve where none did."""
    sets = [set(run.curve.env_steps) for run in runs if run.status == "completed"]
    return sorted(set.intersection(*sets)) if sets else []


def _returns(run: SeedRun, steps: Sequence[int]) -> list[float]:
    """Of a run that diverged: its score, from the evaluation after it on."""
    assert run.objective is not None
    found = dict(zip(run.curve.env_steps, run.curve.returns, strict=True))
    last = max(found, default=-1)
    return [found.get(s, run.objective) if s <= last else run.objective for s in steps]


def _times(curve: Curve, steps: Sequence[int]) -> list[float]:
    found = dict(zip(curve.env_steps, curve.wall_s, strict=False))
    return [found[step] for step in steps if step in found] if curve.wall_s else []


def as_array(band: Band) -> Float[np.ndarray, "part point"]:
    """Estimates, lower and upper ends."""
    return np.array([list(point) for point in band.points]).T
