"""Axis: several members with different data at once under vmap, and each of them alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.gate.numerics.axes.bench import Bench, scaled
from rl_eval.gate.numerics.axes.steps import JITTER, STEPS, furthest, program
from rl_eval.gate.numerics.axes.trees import gradients, jittered, tree

MEMBERS = 5


@dataclasses.dataclass(frozen=True)
class Members:
    """How far members under vmap are from themselves alone.

    Attributes:
        apart: (member, number of the leaf) to the difference over its largest update.
        rounding: the largest such difference that noise of the size of rounding makes.
    """

    apart: dict[tuple[int, int], float]
    rounding: float


def members(bench: Bench) -> Members:
    """Parameters, gradients, losses and traced hyperparameters differ from member to member."""
    each = [_member(bench, i) for i in range(MEMBERS)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    together = jax.jit(jax.vmap(program(bench.subject)))(*stacked)
    found: dict[tuple[int, int], float] = {}
    for i, given in enumerate(each):
        here = jax.tree.map(lambda x, i=i: x[i], together)
        far = furthest(bench.alone()(*given), here)
        found |= {(i, leaf): distance for leaf, distance in far.items()}
    hyper, params, grads, values = each[1]
    noisy = jittered(grads, 1, JITTER)
    moved = furthest(bench.alone()(*each[1]), bench.alone()(hyper, params, noisy, values))
    return Members(found, max(moved.values(), default=0.0))


def _member(bench: Bench, i: int) -> tuple[Any, Any, Any, Any]:
    subject = bench.subject
    between = {
        name: value + 0.1 * i * (subject.ends[name][-1] - value)
        for name, value in subject.traced.items()
        if subject.ends.get(name)
    }
    params = tree("kinds", f"params of member {i}")
    grads = scaled(gradients("kinds", f"gradients of member {i}", STEPS), 3.0**i)
    return subject.arrays(**between), params, grads, np.float32(1 + i) * bench.values
