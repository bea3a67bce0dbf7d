"""Items as tasks of a Ray cluster, started here or reached at its address.

Ray decides where a task runs and runs it again where its worker or node dies. Results are the
records: left in the directory of the sweep by nodes that share it, and otherwise run apart and
brought back through Ray's object store, without checkpoints.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.config import to_dict
from rl_eval.errors import ExplainedError, MachineError
from sweeps.execution.local import PATIENCE_S, STOP_S
from sweeps.execution.node import Order, Outcome, work
from sweeps.execution.places import compilation, cores, threads
from sweeps.execution.work import Ended, Event, Executor, Item, Moving, Retried

LOCAL = "local"  # the address of a cluster of this machine, started for the sweep
RETRIES = 3  # of a task, by Ray: nodes of a cluster are taken away more often than workers crash
POLL_S = 1.0
GPU_MEMORY = 0.9  # of a GPU, that JAX may take for the trials that share it


class ClusterError(ExplainedError, RuntimeError):
    """The cluster cannot be had, or cannot run trials."""


def cluster(
    task: str,
    address: str,
    logs: Path,
    *,
    cpus: float = 1.0,
    gpus: float = 0.0,
    patience_s: float = PATIENCE_S,
    retries: int = RETRIES,
    must_share: str | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> Executor:
    """An executor with a Ray task for each item.

    Args:
        task: `module:function`, see `sweeps.execution.workers`.
        address: of the cluster, as `ray.init` takes it; `local` starts one.
        logs: folder in the directory of the sweep.
        cpus: of a task; gpus: likewise. Fractions share one.
        patience_s: seconds without a sign of life after which a task is taken to hang.
        retries: of a task that its worker or node died of.
        must_share: why nodes have to share the directory, if they have to.
        notify: told what the cluster is.

    Raises:
        ClusterError: while it runs; there is no cluster, or it cannot run trials.
    """

    def execute(items: Sequence[Item]) -> Generator[Event, None, None]:
        logs.mkdir(parents=True, exist_ok=True)
        mark = logs.absolute() / f"shared-{uuid.uuid4().hex}"
        mark.touch()
        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}
        options["runtime_env"] = {"env_vars": _environment(cpus, gpus)}
        order = functools.partial(
            Order, task=task, mark=str(mark), patience_s=patience_s, must_share=must_share
        )
        orders = [
            order(i, config=to_dict(item.config), directory=str(item.directory.absolute()))
            for i, item in enumerate(items)
        ]
        try:
            with _connected(address) as ray:
                notify(_room(ray, address, cpus, gpus))
                yield from _Driver(ray, items, orders, options).work()
        finally:
            mark.unlink(missing_ok=True)

    return execute


class _Driver:
    """The tasks of one execution. A task's worker is the lowest number that is free."""

    def __init__(
        self, ray: Any, items: Sequence[Item], orders: Sequence[Order], options: dict[str, Any]
    ) -> None:
        self._ray, self._items, self._tries = ray, items, options["max_retries"] + 1
        # On the head: where that dies, all ends.
        at_head = {"resources": {"node:__internal_head__": 0.001}, "max_restarts": -1}
        self._board = ray.remote(_Board).options(num_cpus=0, **at_head).remote()
        submit = ray.remote(_task).options(**options)
        self._pending: dict[Any, int] = {submit.remote(o, self._board): o.index for o in orders}
        self._begun: dict[int, str] = {}
        self._workers: dict[int, int] = {}

    def work(self) -> Iterator[Event]:
        """Until nothing is left; closed, it stops."""
        try:
            while self._pending:
                done, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=POLL_S)
                yield from self._heard()
                for ref in done:
                    yield self._ended(ref)
        finally:
            self._stop()

    def _heard(self) -> Iterator[Event]:
        """What tasks said of themselves, which is for the eye alone: it may get lost."""
        try:
            said = self._ray.get(self._board.read.remote(), timeout=POLL_S)
        except self._ray.exceptions.RayError:
            return
        unended = set(self._pending.values())
        for index, (this_try, share, score) in said.items():
            if index in unended:
                item, worker = self._items[index], self._worker(index)
                if self._begun.setdefault(index, this_try) != this_try:
                    self._begun[index] = this_try
                    yield Retried(item, worker, "its worker or node died")
                yield Moving(item, worker, share, score)

    def _ended(self, ref: Any) -> Ended:
        index, errors = self._pending.pop(ref), self._ray.exceptions
        item, worker = self._items[index], self._worker(index)
        del self._workers[index]
        broken = errors.RayTaskError, errors.RuntimeEnvSetupError, errors.TaskUnschedulableError
        try:
            outcome: Outcome = self._ray.get(ref)
        except MachineError as error:
            raise MachineError(str(getattr(error, "cause", error))) from None
        except broken as error:
            raise ClusterError(
                f"the cluster cannot run trials; its nodes need this version of rl-eval: {error}"
            ) from None
        except errors.RayError as error:
            said = str(error).strip().splitlines()[0]
            reason = f"{type(error).__name__}: {said} ({self._tries} tries)"
            return Ended(item, worker, "failed", reason)
        if outcome.files:
            keep(item.directory, outcome.files)
        return Ended(item, worker, outcome.status, outcome.reason, outcome.score)

    def _worker(self, index: int) -> int:
        if index not in self._workers:
            taken = set(self._workers.values())
            self._workers[index] = next(n for n in range(len(taken) + 1) if n not in taken)
        return self._workers[index]

    def _stop(self) -> None:
        """Ask what still runs to save and leave, as Ctrl-C does; then end it."""
        left = list(self._pending)
        with contextlib.suppress(self._ray.exceptions.RayError, ConnectionError):  # it may be gone
            for force in (False, True):
                for ref in left:
                    self._ray.cancel(ref, force=force)
                if left and not force:
                    _, left = self._ray.wait(left, num_returns=len(left), timeout=STOP_S)


class _Board:
    """An actor to which tasks say how they get on; the last word of each is kept."""

    def __init__(self) -> None:
        self._said: dict[int, tuple[str, float, float | None]] = {}

    def say(self, index: int, this_try: str, share: float, score: float | None) -> None:
        self._said[index] = this_try, share, score

    def read(self) -> dict[int, tuple[str, float, float | None]]:
        said, self._said = self._said, {}
        return said


def _task(order: Order, board: Any) -> Outcome:
    return work(order, board.say.remote)


def keep(directory: Path, files: Mapping[str, bytes]) -> None:
    """Put the files of a record that was brought back in place, all or none."""
    part = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}.part")
    part.mkdir(parents=True)
    for name, data in files.items():
        (part / name).write_bytes(data)
    shutil.rmtree(directory, ignore_errors=True)
    part.rename(directory)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected; it makes no calls home and starts no dashboard."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = importlib.import_module("ray")
        importlib.import_module("ray.exceptions")
    except ModuleNotFoundError:
        raise ClusterError("Ray is not installed: pip install 'rl-eval[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    own = {"num_cpus": len(cores()), "include_dashboard": False} if address == LOCAL else {}
    with _own_sigterm():
        try:
            ray.init(address, log_to_driver=False, logging_level="error", **own)
        except Exception as error:  # of many kinds, for a wrong address as for a missing token
            said = str(error).strip().partition("\n")[0]
            raise ClusterError(f"no Ray cluster at {address}: {said}") from None
    try:
        yield ray
    finally:
        with _own_sigterm():
            ray.shutdown()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray replaces this process's handler; afterwards it is what it was."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _room(ray: Any, address: str, cpus: float, gpus: float) -> str:
    """What the cluster is, in words.

    Raises:
        ClusterError: this machine is all there is, and a task does not fit.
    """
    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = sum(_fits(resources, cpus, gpus) for resources in there)
    if not fits and address == LOCAL:
        raise ClusterError(f"this machine has no {cpus:g} CPUs and {gpus:g} GPUs for a trial")
    total = {name: sum(node.get(name, 0.0) for node in there) for name in ("CPU", "GPU")}
    return (
        f"Ray, {len(there)} nodes, {total['CPU']:g} CPUs, {total['GPU']:g} GPUs: {fits} trials at "
        f"a time, with {cpus:g} CPUs and {gpus:g} GPUs each"
    )


def _fits(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    asked = (("CPU", cpus), ("GPU", gpus))
    return min(int(resources.get(name, 0.0) / share + 1e-6) for name, share in asked if share)


def _environment(cpus: float, gpus: float) -> dict[str, str]:
    """Of a task: as many threads as it has cores, the user's own modules, a shared cache."""
    installed = (sys.prefix, sys.base_prefix)
    own = [path or os.getcwd() for path in sys.path if not path.startswith(installed)]
    added = {
        "PYTHONPATH": os.pathsep.join(own),
        **compilation(),
        **threads(max(1, int(cpus))),
    }
    if not gpus:
        added["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")
    elif gpus < 1:
        added["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{GPU_MEMORY * gpus:.3f}"
    return added
