"""Where the workers of this machine are: on a core each, or on a GPU each where there are GPUs.

Several GPUs share a sweep as one process each, with a population of its own, not as one population
spread over them: members have nothing to tell each other, and one that fails takes no other along.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

from rl_eval import caches


class Gpu(NamedTuple):
    """A GPU, as CUDA_VISIBLE_DEVICES names it. A worker there has all cores."""

    name: str


Place = int | Gpu | None
"""A core, a GPU, or None: wherever the system puts a worker."""

_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def places(workers: int | None = None) -> list[Place]:
    """One a GPU, or else one a core; several workers share a core where there are more of them.

    Args:
        workers: how many; None for as many as there are GPUs or else cores.

    Raises:
        ValueError: fewer than one worker, or more than one a GPU.
    """
    found = gpus()
    there: list[Place] = [*map(Gpu, found)] if found else [*cores()]
    if workers is None:
        return there
    if workers < 1:
        raise ValueError("at least one is needed")
    if found and workers > len(found):
        raise ValueError(
            f"there are {len(found)} GPUs, and a worker takes the memory of one; for more runs at "
            "once give --population, or train on the CPU with JAX_PLATFORMS=cpu"
        )
    return [there[i % len(there)] for i in range(workers)]


def cores() -> list[int | None]:
    """The cores that this process may use; one None a core where they cannot be told apart."""
    if hasattr(os, "sched_getaffinity"):
        return [*sorted(os.sched_getaffinity(0))]
    return [None] * (os.cpu_count() or 1)


def gpus(devices: Path = Path("/dev")) -> list[str]:
    """Names of the GPUs that workers would train on, told without jax, which takes their memory."""
    if os.environ.get("JAX_PLATFORMS") == "cpu" or not any(
        importlib.util.find_spec(name) for name in _PLUGINS
    ):
        return []
    there = [str(i) for i, _ in enumerate(devices.glob("nvidia[0-9]*"))]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not there:
        return there
    return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]


def core_of(place: Place) -> str:
    """What the worker is pinned to, as its command line has it."""
    return str(place) if isinstance(place, int) else "-"


def environment(place: Place) -> dict[str, str]:
    """Of a worker: a shared cache, and one thread on a core or one GPU to be seen."""
    if isinstance(place, int):
        return {**compilation(), **threads(1)}
    if isinstance(place, Gpu):
        return {**compilation(), "CUDA_VISIBLE_DEVICES": place.name}
    return compilation()


def compilation() -> dict[str, str]:
    """Environment of a worker that shares what it compiles."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(caches.compiled()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }


def threads(count: int) -> dict[str, str]:
    """Environment of a worker that computes in so many threads; NPROC is XLA's own."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    found = dict.fromkeys(names, str(count))
    if count == 1:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        found["XLA_FLAGS"] = flags.strip()
    return found
