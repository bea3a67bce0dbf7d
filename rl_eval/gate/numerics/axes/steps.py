"""A few steps of an optimizer as one program, in which all numbers are arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.config import Setting
from rl_eval.gate.numerics.problems import NUM_STEPS
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import extra_args
from rl_eval.ppo.update import optimizer_step

STEPS = 6  # of most axes
JITTER = 1e-6

# (traced hyperparameters, params, grads [step, ...], values [step]) to updates [step, ...].
Program = Callable[[Any, Any, Any, Any], Any]


def program(
    subject: Subject, *, static: Mapping[str, Setting] | None = None, told: bool = True
) -> Program:
    """Start and take as many steps as there are gradients, moving the parameters.

    Args:
        subject: the optimizer.
        static: settings other than its own.
        told: whether it is told the loss.
    """

    def run(hyper: Any, params: Any, grads: Any, values: Any) -> Any:
        optimizer = subject.build(NUM_STEPS, **{**dict(static or {}), **hyper})

        def step(carry: Any, now: Any) -> Any:
            params, state = carry
            t, g, value = now
            extra = extra_args(subject.needs, t, {})
            if told:
                extra["value"] = value
            params, state, updates = optimizer_step(optimizer, g, params, state, **extra)
            return (params, state), updates

        start = params, optimizer.init(params)
        count = jnp.arange(len(values), dtype=jnp.int32)
        return jax.lax.scan(step, start, (count, grads, values))[1]

    return run


def losses(steps: int = STEPS) -> np.ndarray:
    """Losses that fall and rise, [step]."""
    return np.array([4 - 0.125 * t + 0.5 * (7 * t % 5) for t in range(steps)], np.float32)


def furthest(one: Any, other: Any, limit: float = 0.0) -> dict[int, float]:
    """How far two runs [step, ...] are apart, by the number of each leaf beyond `limit`."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    far = {i: apart(np.asarray(a, float), np.asarray(b, float)) for i, (a, b) in enumerate(pairs)}
    return {i: distance for i, distance in far.items() if distance > limit}


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of a leaf's updates over its largest update of the run `one`.

    Infinite where only one of the two is finite, or one does nothing and the other something.
    """
    finite = np.isfinite(one)
    if (finite != np.isfinite(other)).any():
        return float("inf")
    difference = np.abs(np.where(finite, one, 0) - np.where(finite, other, 0)).max(initial=0)
    scale = np.abs(np.where(finite, one, 0)).max(initial=0)
    if difference == 0:
        return 0.0
    return float(difference / scale) if scale > 0 else float("inf")
