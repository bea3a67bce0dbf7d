"""Axis: leaves as large as those of real networks, and the scratch memory of a step on them."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.gate.numerics.axes.sheet import Sheet, sizes_of, summed
from rl_eval.gate.numerics.axes.steps import JITTER
from rl_eval.gate.numerics.axes.trees import gradients, jittered, paths, tree
from rl_eval.gate.numerics.problems import NUM_STEPS
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import extra_args
from rl_eval.ppo.update import optimizer_step

_STEPS = 3


class Sizes:
    """One step of an optimizer on the tree of sizes, compiled."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.params = jax.tree.map(jnp.asarray, tree("sizes", "params"))

    @functools.cached_property
    def compiled(self) -> Any:
        hyper = self.subject.arrays()
        state = jax.eval_shape(self._start, hyper, self.params)
        given = hyper, self.params, state, self.params, jnp.float32(1), jnp.int32(0)
        return jax.jit(self._step).lower(*given).compile()

    def __call__(self, member: int) -> Sheet:
        """Updates of a few steps."""
        hyper, params = self.subject.arrays(), self.params
        grads = jittered(gradients("sizes", "gradients", _STEPS), member, JITTER)
        state, rows = jax.jit(self._start)(hyper, params), []
        for t in range(_STEPS):
            g = jax.tree.map(lambda x, t=t: jnp.asarray(x[t]), grads)
            value, count = jnp.float32(1 - 0.1 * t), jnp.int32(t)
            params, state, updates = self.compiled(hyper, params, state, g, value, count)
            rows.append(summed(jax.tree.map(lambda x: np.asarray(x)[None], updates)))
        return Sheet(paths(params), sizes_of(params), {"sizes": np.concatenate(rows)})

    @property
    def scratch_bytes(self) -> int:
        """Temporaries of one step, beyond what it is given and returns."""
        return int(self.compiled.memory_analysis().temp_size_in_bytes)

    def _start(self, hyper: Any, params: Any) -> Any:
        return self.subject.build(NUM_STEPS, **hyper).init(params)

    def _step(self, hyper: Any, params: Any, state: Any, grads: Any, value: Any, t: Any) -> Any:
        optimizer = self.subject.build(NUM_STEPS, **hyper)
        extra = extra_args(self.subject.needs, t, {})
        return optimizer_step(optimizer, grads, params, state, value=value, **extra)
