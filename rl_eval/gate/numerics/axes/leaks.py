"""What a process keeps more of after every step, where it should keep nothing."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.gate.numerics.axes.trees import gradients, tree
from rl_eval.gate.numerics.problems import NUM_STEPS
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import extra_args
from rl_eval.ppo.update import optimizer_step

STEPS = 2000
WARM_UP = 200


def bytes_kept_per_step(subject: Subject) -> float:
    """Of host memory, per step of `STEPS` compiled ones: of Python, of arrays and of the process.

    The steps are taken in two halves and the smaller growth counts, since what is kept once is
    no leak. The process's own number comes in pages and moves by itself: it counts from 1 kB.
    """
    step, carry = _step(subject)
    carry = _go_on(step, carry, WARM_UP)
    tracemalloc.start()
    try:
        carry = _go_on(step, carry, WARM_UP)
        seen = [_now()]
        for _ in range(2):
            carry = _go_on(step, carry, STEPS // 2)
            seen.append(_now())
    finally:
        tracemalloc.stop()
    grown = np.diff(np.array(seen, float), axis=0).min(axis=0) / (STEPS // 2)
    python, arrays, process = grown.tolist()
    return float(max(python, arrays, process if process > 1000 else 0.0, 0.0))


def _step(subject: Subject) -> tuple[Any, Any]:
    params = jax.tree.map(jnp.asarray, tree("kinds", "params"))
    grads = jax.tree.map(lambda x: jnp.asarray(x[0]), gradients("kinds", "gradients", 1))
    hyper = subject.arrays()

    @jax.jit
    def step(carry: Any) -> Any:
        params, state, t = carry
        optimizer = subject.build(NUM_STEPS, **hyper)
        extra = extra_args(subject.needs, t, {})
        params, state, _ = optimizer_step(
            optimizer, grads, params, state, value=jnp.float32(1), **extra
        )
        return params, state, t + 1

    state = jax.jit(subject.build(NUM_STEPS, **hyper).init)(params)
    return step, (params, state, jnp.int32(0))


def _go_on(step: Any, carry: Any, steps: int) -> Any:
    for _ in range(steps):
        carry = step(carry)
    return jax.block_until_ready(carry)


def _now() -> tuple[int, int, int]:
    """Bytes of Python's objects, of arrays that are alive, and of the whole process."""
    jax.effects_barrier()
    gc.collect()
    arrays = sum(x.nbytes for x in jax.live_arrays() if not x.is_deleted())
    return tracemalloc.get_traced_memory()[0], arrays, _resident()


def _resident() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:  # not Linux
        return 0
