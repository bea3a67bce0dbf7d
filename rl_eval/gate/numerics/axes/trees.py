"""Trees of parameters and gradients on which the axes look at an optimizer."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from rl_eval.gate.numerics.problems import random

# One leaf of each kind, none of the axes of a leaf equal.
KINDS: dict[str, Any] = {
    "Conv_0": {"bias": (4,), "kernel": (3, 2, 2, 4)},
    "Dense_0": {"bias": (5,), "kernel": (6, 5)},
    "Embed_0": {"embedding": (7, 3)},
    "LayerNorm_0": {"scale": (6,)},
    "cube": (2, 3, 4),
    "log_std": (),
    "wide": (3, 8),
}
# Both sides of the sizes at which rules change to other code, and Nature CNN's own.
SIZES: dict[str, Any] = {
    "bias": (512,),
    "column": (300, 1),
    "conv 3x3": (3, 3, 64, 64),
    "conv 8x8": (8, 8, 4, 32),
    "conv of one": (1, 1, 1, 1),
    "cube": (16, 24, 32),
    "embedding": (1000, 32),
    "five axes": (2, 3, 2, 3, 2),
    "head": (512, 18),
    "matrix 64": (64, 64),
    "matrix 128": (128, 130),
    "matrix 512": (512, 512),
    "one": (1,),
    "row": (1, 300),
    "scalar": (),
    "tall": (3136, 512),
    "vector": (5000,),
}


EMPTY: dict[str, Any] = {"bias": (3,), "kernel": (2, 3), "nothing": (0, 3)}


def names() -> dict[str, Any]:
    """Layers as networks are named, more than 33 leaves in all."""

    def dense(count: int) -> dict[str, Any]:
        return {f"Dense_{i}": {"bias": (3,), "kernel": (2, 3)} for i in range(count)}

    conv = {f"Conv_{i}": {"bias": (3,), "kernel": (1, 1, 2, 3)} for i in range(3)}
    return {
        "actor_head": dense(1),
        "actor_torso": dense(3),
        "critic_head": dense(1),
        "critic_torso": dense(3),
        "embedder": {"Embed_0": {"embedding": (2, 3)}, "embed": {"kernel": (2, 3)}},
        "log_std": (3,),
        "lstm": {"hi": {"bias": (3,), "kernel": (2, 3)}},
        "norm": {"LayerNorm_0": {"bias": (3,), "scale": (3,)}},
        "torso": conv | dense(4),
    }


@functools.cache
def tree(shapes: str, stream: str) -> Any:
    """Float32 leaves of `kinds`, `sizes`, `names` or `empty`, not to be written to."""
    chosen = {"kinds": KINDS, "sizes": SIZES, "names": names(), "empty": EMPTY}[shapes]
    return jax.tree.map_with_path(
        lambda path, shape: random(shape, stream + jax.tree_util.keystr(path)).astype(np.float32),
        chosen,
        is_leaf=lambda x: isinstance(x, tuple),
    )


@functools.cache
def gradients(shapes: str, stream: str, steps: int) -> Any:
    """Leaves [step, ...]: half of each gradient stays, the other half is the same numbers moved."""

    def leaf(x: np.ndarray) -> np.ndarray:
        moved = [np.roll(x, 1 + 3 * t) if x.ndim else x * (-0.5) ** t for t in range(steps)]
        return np.stack([np.float32(0.5) * x + np.float32(0.5) * m for m in moved])

    return jax.tree.map(leaf, tree(shapes, stream))


def decades(grads: Any) -> Any:
    """Elements of one leaf over seven decades, so that an epsilon shows wherever it is."""
    scale = np.array([1.0, 1e-2, 1e-4, 1e-6, 1e-1, 1e-3, 1e-5], np.float32)

    def leaf(x: np.ndarray) -> Any:
        return x * scale[np.arange(x[0].size).reshape(x[0].shape) % len(scale)]

    return jax.tree.map(leaf, grads)


def jittered(grads: Any, member: int, by: float) -> Any:
    """`grads` [step, ...] with relative noise, another for each member; member 0 has none."""
    if member == 0:
        return grads

    def leaf(path: Any, x: np.ndarray) -> Any:
        shape = (min(x.size, 4096),)
        noise = random(shape, f"axis jitter {member} {jax.tree_util.keystr(path)}")
        return (x * (1 + by * np.resize(noise, x.shape))).astype(x.dtype)

    return jax.tree.map_with_path(leaf, grads)


def paths(params: Any) -> tuple[str, ...]:
    """Of the leaves that hold any number."""
    return tuple(
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, leaf in jax.tree.leaves_with_path(params)
        if np.size(leaf)
    )
