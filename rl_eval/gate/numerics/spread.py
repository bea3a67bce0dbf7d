"""How far apart the same optimizer's trajectories lie when only the rounding differs."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rl_eval import packages
from rl_eval.gate.numerics.problems import courses
from rl_eval.gate.numerics.trajectory import Build, Runner, Sketches, cpu

JITTER = 1e-6  # relative; the size of the rounding error of a sum of thousands
MEMBERS = 4
_CHILD = "rl_eval.gate.numerics.spread"
_SMALL = ("quadratic", "rosenbrock")  # without jit each operation of each shape is compiled alone


@dataclasses.dataclass(frozen=True)
class Spawn:
    """Where another process finds the optimizer: `build(num_steps, **settings)` by its name.

    reference: "module:function".
    settings: what JSON can hold.
    """

    reference: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def variants(
    build: Build, needs: frozenset[str], spawn: Spawn | None
) -> tuple[dict[str, list[Sketches]], dict[str, str]]:
    """Runs of every trajectory by what differs, and why what is missing is.

    Without `spawn` there is no other number of threads, since a process has but one.
    """
    found: dict[str, list[Sketches]] = {"vmap": [], "jitter": [], "no jit": [], "float64": []}
    left_out: dict[str, str] = {}
    for course in courses(needs):
        plain, *jittered = Runner(build, needs, course).jittered(MEMBERS, JITTER)
        found["vmap"].append(plain)
        found["jitter"] += jittered
        if course.names[0] in _SMALL:
            runner = Runner(build, needs, course)
            found["no jit"].append(runner.all(runner.update))
    try:
        if any(Runner(build, needs, course).draws for course in courses(needs)):
            left_out["float64"] = "it draws random numbers, which are others in float64"
        else:
            found["float64"] = _in_float64(build, needs)
    except Exception as error:
        left_out["float64"] = one_line(error)
    if spawn is None:
        left_out["threads"] = "the optimizer is not known by a name"
    else:
        found["threads"] = [with_other_threads(spawn, needs)]
    return {name: runs for name, runs in found.items() if runs}, left_out


def one_line(error: Exception) -> str:
    """What was raised, and how its message begins."""
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0][:200]}"


def _in_float64(build: Build, needs: frozenset[str]) -> list[Sketches]:
    def wide(tree: Any) -> Any:
        return jax.tree.map(lambda x: x.astype(np.float64), tree)

    with jax.enable_x64(True):
        return [
            Runner(build, needs, course).all(params=wide(course.params), given=wide(course.given))
            for course in courses(needs)
        ]


def with_other_threads(spawn: Spawn, needs: frozenset[str]) -> Sketches:
    """The trajectories of a process with one thread, or with two where this one has one."""
    threads = 1 if _threads() > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sketches.npz"
        task = {**dataclasses.asdict(spawn), "needs": sorted(needs), "out": str(out)}
        command = packages.command(_CHILD, json.dumps(task))
        env = os.environ | {"NPROC": str(threads), "JAX_PLATFORMS": "cpu"}
        env["PYTHONPATH"] = packages.search_path()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise RuntimeError(f"{spawn.reference} in a process of its own: {lines[-1]}")
        with np.load(out, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _threads() -> int:
    """Of this process, as XLA counts."""
    if "NPROC" in os.environ:
        return int(os.environ["NPROC"])
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _child(task: Mapping[str, Any]) -> None:
    module, _, name = task["reference"].partition(":")
    make, needs = getattr(importlib.import_module(module), name), frozenset(task["needs"])

    def build(num_steps: int) -> Any:
        return make(num_steps, **task["settings"])

    with cpu():
        runs = [Runner(build, needs, course).all() for course in courses(needs)]
    np.savez(
        task["out"], allow_pickle=False, **{name: x for run in runs for name, x in run.items()}
    )


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))
