"""What a step costs next to AdamW's, and the bytes it keeps: small enough for every check."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rl_eval.gate.numerics.problems import NUM_STEPS, random_tree
from rl_eval.gate.numerics.trajectory import Build, cpu, extra_args
from rl_eval.ppo.update import optimizer_step
from rl_eval.records.provenance import cpu_name

SHAPES = {"bias": (128,), "conv": (3, 3, 32, 64), "dense": (512, 128), "norm": (64,)}
STEPS_PER_CALL = 10
ROUNDS = 40
SECONDS = 0.5  # at least, spent on each of the two


def adamw(num_steps: int, learning_rate: float = 1e-3) -> optax.GradientTransformationExtraArgs:
    """The yardstick."""
    del num_steps
    return optax.with_extra_args_support(optax.adamw(learning_rate))


def state_bytes(build: Build) -> int:
    """Of the optimizer's state for `SHAPES`."""
    state = jax.eval_shape(build(NUM_STEPS).init, random_tree(SHAPES, "cost"))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def step_ratio(build: Build, needs: frozenset[str]) -> float | None:
    """Time of a step over AdamW's; None for rules that need what only a training step has.

    Both take turns on the processor, and the fastest call of each counts: what else the machine
    does can only slow one down.
    """
    if "activations" in needs:
        return None
    with cpu():
        return _ratio(build, needs)


def _ratio(build: Build, needs: frozenset[str]) -> float:
    calls = _steps(adamw, frozenset()), _steps(build, needs)
    fastest, spent, rounds = [float("inf")] * 2, 0.0, 0
    while rounds < ROUNDS or spent < SECONDS:
        for i, call in enumerate(calls):
            begun = time.perf_counter()
            call()
            taken = time.perf_counter() - begun
            fastest[i], spent = min(fastest[i], taken), spent + taken / 2
        rounds += 1
    return fastest[1] / fastest[0]


def hardware() -> str:
    """The processor that a time was measured on."""
    return f"{cpu_name()}, cpu"


def _steps(build: Build, needs: frozenset[str]) -> Callable[[], Any]:
    """A call that takes STEPS_PER_CALL steps, compiled."""
    optimizer = build(NUM_STEPS)
    params = jax.tree.map(jnp.asarray, random_tree(SHAPES, "cost"))

    @jax.jit
    def steps(params: Any, state: Any) -> Any:
        def step(t: Any, carry: Any) -> Any:
            params, state = carry
            grads = jax.tree.map(lambda p: 0.5 * p, params)
            extra = extra_args(needs, t, {})
            return optimizer_step(optimizer, grads, params, state, value=jnp.float32(1), **extra)[
                :2
            ]

        return jax.lax.fori_loop(0, STEPS_PER_CALL, step, (params, state))

    state = optimizer.init(params)
    jax.block_until_ready(steps(params, state))
    return lambda: jax.block_until_ready(steps(params, state))
