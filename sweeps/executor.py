"""Where the runs of a sweep go: to processes of this machine, or to the tasks of a Ray cluster."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rl_eval.settings import SettingsError
from sweeps.execution.cluster import LOCAL, cluster
from sweeps.execution.local import PATIENCE_S, local
from sweeps.execution.places import Place, places
from sweeps.execution.work import Executor, Item
from sweeps.tasks import population

# By name: what trains is imported in the workers alone.
TASK = "sweeps.tasks.trial:make"
TOGETHER = "sweeps.tasks.trial:make_together"


@dataclasses.dataclass(frozen=True)
class Flags:
    """Options of every command that runs trials."""

    workers: str = "local"
    """Processes of one core each: local (one a core; where there are GPUs one a GPU) or a number.
    Or tasks of a Ray cluster: ray (one of this machine's, or that of RAY_ADDRESS), ray://HOST:PORT,
    HOST:PORT."""
    cpus: float | None = None
    """Cores of a Ray task, which may be a fraction. Default 1."""
    gpus: float | None = None
    """GPUs of a Ray task, which may be a fraction. Default 0."""
    patience: float = PATIENCE_S
    """Seconds without a sign of life after which a worker is taken to hang."""


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


def parse(workers: str, cpus: float | None, gpus: float | None) -> Processes | Tasks:
    """What `--workers`, `--cpus` and `--gpus` ask for.

    Raises:
        SettingsError: they ask for nothing there is.
    """
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
    place: Processes | Tasks,
    out: Path,
    patience_s: float,
    notify: Callable[[str], None],
    must_share: str | None = None,
    together: int = 1,
) -> Executor:
    """What runs the items of the sweep in `out`; `must_share`: why nodes have to see it.

    `together`: members that a process trains at once, at most.
    """
    logs = out / "workers"
    if isinstance(place, Processes):
        task = TASK if together == 1 else TOGETHER
        return local(task, place.on, logs, patience_s, together)
    return cluster(
        TASK,
        place.address,
        logs,
        cpus=place.cpus,
        gpus=place.gpus,
        patience_s=patience_s,
        must_share=must_share,
        notify=notify,
    )


def members(
    place: Processes | Tasks, asked: int | None, todo: Sequence[Item], out: Path, patience_s: float
) -> tuple[int, str]:
    """How many runs a process or task trains at once, and a sentence about them all.

    Args:
        asked: with `--population`; None for as many as are fastest.
    """
    if isinstance(place, Tasks):
        return 1, f"tasks of the Ray cluster at {place.address}, one at a time"
    workers = min(len(place.on), len(todo))
    if asked is not None:
        size, why = asked, "as asked for"
    else:
        size, why = population.choose(todo, place.on[0], workers, out, patience_s)
    workers = min(workers, -(-len(todo) // size))
    return size, f"{workers} workers, {size} at a time: {why}"


def _places(workers: str) -> tuple[Place, ...]:
    if workers == "local":
        return tuple(places())
    if not workers.isdecimal():
        raise SettingsError(
            f"--workers {workers}: expected local, a number of processes, ray, or the address of "
            "a Ray cluster (ray://HOST:PORT, HOST:PORT)"
        )
    try:
        return tuple(places(int(workers)))
    except ValueError as error:
        raise SettingsError(f"--workers {workers}: {error}") from None
