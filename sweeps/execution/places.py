"""Where the workers of this machine are: on a core each, or on a GPU each where there are GPUs.

Several GPUs share a sweep as one process each, with a population of its own, not as one population
spread over them: members have nothing to tell each other, and one that fails takes no other along.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from rl_eval import caches
from rl_eval.devices import SHORT, gpu_plugin, processor_only, trouble


class Gpu(NamedTuple):
    """A GPU, as CUDA_VISIBLE_DEVICES names it. A worker there has all cores."""

    name: str


Place = int | Gpu | None
"""A core, a GPU, or None: wherever the system puts a worker."""


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
    """Names of the GPUs that workers would train on, told without jax, which takes their memory.

    Where they have no files of NVIDIA's driver (WSL 2, other makers), a child is asked.
    """
    if os.environ.get("JAX_PLATFORMS") == "cpu" or not gpu_plugin():
        return []
    there = [str(i) for i, _ in enumerate(devices.glob("nvidia[0-9]*"))]
    there = there or [str(i) for i, _ in enumerate(asked())]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not there:
        return there
    return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]


@functools.cache
def asked() -> tuple[str, ...]:
    """What kinds of device other than the processor a process of its own finds, one each."""
    env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-P", "-c", _ASK]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        return tuple(json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return ()


_ASK = """
import json, jax
print(json.dumps([d.device_kind for d in jax.devices() if d.platform != "cpu"]))
"""


def leave_gpus_to_workers() -> None:
    """Keep this process off the GPUs: jax would take most of their memory for as long as it lives.

    Raises:
        ValueError: JAX_PLATFORMS asks for what is not installed.
    """
    if (why := trouble()) is not None:
        raise ValueError(why)
    if gpus():
        processor_only()


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
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": SHORT,
    }


def threads(count: int) -> dict[str, str]:
    """Environment of a worker that computes in so many threads; NPROC is XLA's own."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    found = dict.fromkeys(names, str(count))
    if count == 1:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        found["XLA_FLAGS"] = flags.strip()
    return found
