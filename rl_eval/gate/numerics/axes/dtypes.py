"""Axis: parameters in bfloat16 and in mixed dtypes, by the effect of their updates."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.gate.numerics.axes.bench import Bench
from rl_eval.gate.numerics.axes.sheet import Look, Sheet, sizes_of, summed
from rl_eval.gate.numerics.axes.steps import JITTER
from rl_eval.gate.numerics.axes.trees import jittered, paths

MIXES = {
    "bfloat16": ("bfloat16",),
    "float32 and bfloat16": ("float32", "bfloat16"),
    "float16 and float32": ("float16", "float32"),
}
FLOOR = 2 * float(jnp.finfo("bfloat16").eps)  # compilers round at other places
LARGEST = 1e6  # stands for what is not finite, which JSON has no number for


def dtypes(bench: Bench) -> Look:
    """Updates as they come, in runs whose gradients differ by half a unit in the last place."""

    def look(member: int) -> Sheet:
        runs = {mix: summed(in_dtypes(bench, mix, member)) for mix in MIXES}
        return Sheet(paths(bench.params), sizes_of(bench.params), runs, FLOOR)

    return look


def in_dtypes(bench: Bench, mix: str, member: int = 0) -> Any:
    """Updates [step, ...] as float32 of a run in those dtypes."""
    params, grads = rounded(bench, mix, member)
    updates = bench.alone()(bench.subject.arrays(), params, grads, bench.values)
    return jax.tree.map(lambda x: np.asarray(x, np.float32), updates)


def rounded(bench: Bench, mix: str, member: int = 0) -> tuple[Any, Any]:
    """Parameters and gradients, the leaves in turn in the dtypes of the mix."""
    coarsest = 0.5 * max(float(jnp.finfo(name).eps) for name in MIXES[mix])
    noisy = jittered(bench.grads, member, max(JITTER, coarsest))
    return _cast(bench.params, mix), _cast(noisy, mix)


def effects(bench: Bench) -> dict[str, tuple[float, ...]]:
    """By mix, how far each leaf's updates are from those in float32 on the same numbers.

    Norm of the difference over the norm of the float32 updates, all steps together.
    """
    found = {}
    for mix in MIXES:
        params, grads = (_as_float32(x) for x in rounded(bench, mix))
        wide = bench.alone()(bench.subject.arrays(), params, grads, bench.values)
        pairs = zip(jax.tree.leaves(wide), jax.tree.leaves(in_dtypes(bench, mix)), strict=True)
        found[mix] = tuple(min(_distance(np.asarray(a), b), LARGEST) for a, b in pairs)
    return found


def _distance(wide: np.ndarray, narrow: np.ndarray) -> float:
    size = float(np.linalg.norm(np.asarray(wide, np.float64)))
    far = float(np.linalg.norm(np.asarray(wide, np.float64) - narrow))
    if not np.isfinite(far / size if size else far):
        return LARGEST
    return far / size if size else (0.0 if far == 0 else LARGEST)


def _cast(tree: Any, mix: str) -> Any:
    leaves, treedef = jax.tree.flatten(tree)
    names = MIXES[mix]
    cast = [np.asarray(x, jnp.dtype(names[i % len(names)])) for i, x in enumerate(leaves)]
    return jax.tree.unflatten(treedef, cast)


def _as_float32(tree: Any) -> Any:
    return jax.tree.map(lambda x: np.asarray(x, np.float32), tree)
