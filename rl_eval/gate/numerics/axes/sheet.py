"""Updates as few numbers: each leaf's elements with random signs, added up in a few buckets.

Charikar, Chen and Farach-Colton, Finding frequent items in data streams, 2002: differences keep
their size. What is not finite spoils its own bucket only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from rl_eval.gate.numerics.golden import FLOOR

BUCKETS = 8


class Sheet(NamedTuple):
    """Runs of one axis by name, [step, number], and whose numbers these are.

    floor: relative difference that a run may have anyway; float32's is `golden.FLOOR`.
    """

    leaves: tuple[str, ...]
    sizes: tuple[int, ...]
    runs: dict[str, np.ndarray]
    floor: float = FLOOR


# A run of an axis: member 0 as it is, others with noise of the size of rounding on the gradients.
Look = Callable[[int], Sheet]


def sizes_of(params: Any) -> tuple[int, ...]:
    """Numbers kept of each leaf that has any."""
    return tuple(min(np.size(x), BUCKETS) for x in jax.tree.leaves(params) if np.size(x))


def summed(updates: Any) -> np.ndarray:
    """[step, number] of leaves [step, ...]."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.concatenate(
            [_leaf(np.asarray(x)) for x in jax.tree.leaves(updates) if np.size(x)], axis=1
        )


def _leaf(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1).astype(np.float64)
    size = flat.shape[1]
    if size <= BUCKETS:
        return flat
    padded = np.pad(flat * _signs(size), ((0, 0), (0, -size % BUCKETS)))
    return np.asarray(padded.reshape(len(x), -1, BUCKETS).sum(axis=1) / np.sqrt(size))


@functools.cache
def _signs(size: int) -> np.ndarray:
    words = np.random.PCG64(size).random_raw(-(-size // 64))
    bits = np.unpackbits(np.asarray(words, "<u8").view(np.uint8))[:size]
    return bits.astype(np.int8) * np.int8(2) - np.int8(1)
