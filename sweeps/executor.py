"""Where the runs of a study go: worker processes, the tasks of a Ray cluster, or this process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rl_eval.settings import SettingsError
from rl_eval.setup.arguments import Number
from rl_eval.setup.objects import OBJECT, refuse_objects
from sweeps.execution.cluster import LOCAL, cluster
from sweeps.execution.here import here
from sweeps.execution.local import PATIENCE_S, local
from sweeps.execution.places import Place, places
from sweeps.execution.work import Executor, Item
from sweeps.tasks import population

# By name: what trains is imported in the workers alone.
TASK = "sweeps.tasks.trial:make"
TOGETHER = "sweeps.tasks.trial:make_together"


@dataclasses.dataclass(frozen=True)
class Processes:
    """A worker process at each place."""

    on: tuple[Place, ...]


@dataclasses.dataclass(frozen=True)
class Tasks:
    """Ray tasks, and what each has to itself; fractions share one."""

    address: str
    cpus: float
    gpus: float


@dataclasses.dataclass(frozen=True)
class Here:
    """This process, one run after another."""


@dataclasses.dataclass(frozen=True)
class Workers:
    """Where runs go, and after how many silent seconds a worker is taken to hang."""

    place: Processes | Tasks | Here
    patience_s: Number = PATIENCE_S


def workers_of(
    workers: str | int | None = None,
    cpus: Number | None = None,
    gpus: Number | None = None,
    patience_s: Number = PATIENCE_S,
    optimizers: Iterable[str] = (),
) -> Workers:
    """The workers asked for: local, a number, `here`, or ray and its address.

    Args:
        workers: default `local`, or `here` for optimizers that are objects of this process.
        cpus, gpus: of a Ray task.
        optimizers: names of those that will run.

    Raises:
        SettingsError: they ask for nothing there is, or objects would have to leave this process.
    """
    if workers is None:
        workers = "here" if any(name.startswith(OBJECT) for name in optimizers) else "local"
    if workers == "here":
        return Workers(Here(), patience_s)
    refuse_objects(optimizers, "worker processes")
    return Workers(_place(str(workers), cpus, gpus), patience_s)


def _place(workers: str, cpus: Number | None, gpus: Number | None) -> Processes | Tasks:
    if workers == "ray" or ":" in workers:
        # As for Ray's own commands, RAY_ADDRESS names the cluster where nothing else does.
        found = os.environ.get("RAY_ADDRESS") or LOCAL if workers == "ray" else workers
        asked = 1.0 if cpus is None else cpus, 0.0 if gpus is None else gpus
        if asked[0] <= 0 or asked[1] < 0:
            raise SettingsError("--cpus has to be above 0, and --gpus not below")
        return Tasks(found, *asked)
    if cpus is not None or gpus is not None:
        raise SettingsError("--cpus and --gpus are for the tasks of --workers ray")
    return Processes(_places(workers))


def executor(
    workers: Workers,
    out: Path,
    notify: Callable[[str], None],
    must_share: str | None = None,
    together: int = 1,
) -> Executor:
    """What runs the items of the study in `out`; `must_share`: why nodes have to see it.

    `together`: members that a process trains at once, at most.
    """
    logs, place = out / "workers", workers.place
    if isinstance(place, Here):
        from sweeps.tasks.trial import make  # jax starts here

        return here(make)
    if isinstance(place, Processes):
        task = TASK if together == 1 else TOGETHER
        return local(task, place.on, logs, workers.patience_s, together)
    return cluster(
        TASK,
        place.address,
        logs,
        cpus=place.cpus,
        gpus=place.gpus,
        patience_s=workers.patience_s,
        must_share=must_share,
        notify=notify,
    )


def members(
    workers: Workers, asked: int | None, todo: Sequence[Item], out: Path
) -> tuple[int, str]:
    """How many runs a process or task trains at once, and a sentence about them all.

    Args:
        asked: with `--population`; None for as many as are fastest.
    """
    place = workers.place
    if isinstance(place, Here):
        return 1, "in this process, one at a time"
    if isinstance(place, Tasks):
        return 1, f"tasks of the Ray cluster at {place.address}, one at a time"
    processes = min(len(place.on), len(todo))
    if asked is not None:
        size, why = asked, "as asked for"
    else:
        size, why = population.choose(todo, place.on[0], processes, out, workers.patience_s)
    processes = min(processes, -(-len(todo) // size))
    return size, f"{processes} workers, {size} at a time: {why}"


def _places(workers: str) -> tuple[Place, ...]:
    if workers == "local":
        return tuple(places())
    if not workers.isdecimal():
        raise SettingsError(
            f"--workers {workers}: expected local, a number of processes, here, ray, or the "
            "address of a Ray cluster (ray://HOST:PORT, HOST:PORT)"
        )
    try:
        return tuple(places(int(workers)))
    except ValueError as error:
        raise SettingsError(f"--workers {workers}: {error}") from None
