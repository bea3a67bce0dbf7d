"""Axis: a tree with a leaf that has no numbers."""

from __future__ import annotations

import jax

from rl_eval.gate.numerics.axes.sheet import Look, Sheet, sizes_of, summed
from rl_eval.gate.numerics.axes.steps import JITTER, losses, program
from rl_eval.gate.numerics.axes.trees import gradients, jittered, paths, tree
from rl_eval.gate.numerics.subject import Subject

_STEPS = 2


def empty_leaf(subject: Subject) -> Look:
    """The updates of the other leaves."""
    compiled, params = jax.jit(program(subject)), tree("empty", "params")

    def look(member: int) -> Sheet:
        grads = jittered(gradients("empty", "gradients", _STEPS), member, JITTER)
        updates = compiled(subject.arrays(), params, grads, losses(_STEPS))
        return Sheet(paths(params), sizes_of(params), {"empty leaf": summed(updates)})

    return look
