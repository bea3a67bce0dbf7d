"""How many runs a worker trains at once: as many as were measured to be fastest on this machine."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rl_eval.config import RunConfig, alone
from rl_eval.envs.formulas import LANDSCAPES
from rl_eval.records.run import read_object, write_json
from rl_eval.settings import SettingsError, read
from sweeps.execution.local import local
from sweeps.execution.places import Place
from sweeps.execution.work import Ended, Item, Outcome, Run, Tell

TASK = "sweeps.tasks.population:make"
SIZES = (1, 4, 16, 64, 256)
GAIN = 1.1  # in env steps per second, to be worth members that start and end together
WORTH = 64  # runs a worker, below which a CPU's time is better spent on them than on measuring
SECONDS = 2.0
FILE = "population.json"


def members_of(population: int | str) -> int | None:
    """A number of members; None for `auto`.

    Raises:
        SettingsError: neither.
    """
    text = str(population)
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"--population {text}: expected auto or a number of members")
    return int(text)


def choose(
    todo: Sequence[Item], place: Place, workers: int, out: Path, patience_s: float
) -> tuple[int, str]:
    """Members and the reason, measured on the first run in a worker as those that will train.

    Raises:
        WorkerError: no worker can be started.
    """
    each = len(todo) // workers
    if todo[0].config.env.id in LANDSCAPES:
        return 1, "a formula is not trained"
    if isinstance(place, int) and each < WORTH:
        return 1, f"for {each} runs a worker it was not measured whether more at once are faster"
    folder = out / "population"
    first = todo[0]
    probe = Item("population", first.config, folder, first.signature)
    with closing(local(TASK, [place], folder, patience_s)([probe])) as events:
        ended = [event for event in events if isinstance(event, Ended)][-1]
    if ended.status != "completed":
        return 1, f"measuring more at once failed: {ended.reason}"
    speeds = {int(size): speed for size, speed in read_object(folder / FILE)["speeds"].items()}
    told = ", ".join(f"{size} at once {speed:,.0f}" for size, speed in speeds.items())
    return best(speeds, each), f"env steps per second of a worker, measured: {told}"


def best(speeds: Mapping[int, float], runs: int) -> int:
    """The smallest number that no larger one beats by GAIN, of those that the runs can fill."""
    chosen = 1
    for size in sorted(speeds):
        if size <= max(1, runs) and speeds[size] > GAIN * speeds[chosen]:
            chosen = size
    return chosen


def make() -> Run:
    """What the worker does: train ever more members for a moment, while that gains anything."""

    def run(values: Mapping[str, Any], directory: Path, tell: Tell) -> Outcome:
        config = read(RunConfig, values, str(directory))
        speeds: dict[int, float] = {}
        for size in SIZES:
            try:
                speeds[size] = speed_of(config, size)
            except RuntimeError:  # so jax tells of a device whose memory is full
                if size == 1:
                    raise
                break
            tell(0.0, None)
            if best(speeds, size) != size:
                break
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / FILE, {"speeds": speeds})
        return "completed", None, None

    return run


def speed_of(config: RunConfig, size: int) -> float:
    """Env steps per second of so many members, all of them counted."""
    import jax

    from rl_eval.envs.base import closed
    from rl_eval.run.build import build, start
    from rl_eval.setup.optimizer import prepare

    several = dataclasses.replace(config, seeds=tuple(range(size)))
    several, optimizer, _ = prepare(several)
    built = build(several, optimizer)
    population = built.population
    with closed(built.env):
        state = jax.block_until_ready(population.warm_up(start(alone(several), built, optimizer)))
        done, begun = 0, time.perf_counter()
        while (taken := time.perf_counter() - begun) < SECONDS:
            state, _ = jax.block_until_ready(population.run(state, 1))
            done += 1
    return done * size * config.ppo.batch_size / taken
