"""Axis: a run of 200,000 steps and beyond, longer than Atari's, on a tiny tree.

Gradients do not depend on the parameters, so that nothing feeds back; of each stretch are kept
what the updates add up to, with changing signs too, and how large they are.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.gate.numerics.axes.sheet import Sheet
from rl_eval.gate.numerics.axes.steps import JITTER
from rl_eval.gate.numerics.axes.trees import jittered
from rl_eval.gate.numerics.problems import random
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import extra_args

NUM_STEPS = 200_000  # Atari's default run takes 156,000
STRETCH = 1000  # steps a call
AFTER = 1  # stretches after the schedule's end
NAME = "200,000 steps"
SHAPES = {"bias": (2,), "conv": (1, 1, 2, 2), "embedding": (2, 3), "kernel": (3, 2), "scale": ()}
_PERIOD = 64  # gradients come again after so many steps


@dataclasses.dataclass(frozen=True)
class Horizon:
    """A long run: its numbers, and how long a stretch took early and late (seconds)."""

    sheet: Sheet
    early: float
    late: float

    @property
    def first_bad(self) -> int | None:
        """The stretch in which an update was not finite first."""
        bad = ~np.isfinite(self.sheet.runs[NAME]).all(axis=1)
        return int(bad.argmax()) if bad.any() else None


class Long:
    """The long run of one optimizer, compiled once."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        shapes = dict(sorted(SHAPES.items()))
        self.params = {k: np.float32(random(s, f"long {k}")) for k, s in shapes.items()}
        self.grads = {k: _table(k, s) for k, s in shapes.items()}
        self.stretch = jax.jit(self._stretch)
        self._done: dict[int, Horizon] = {}

    def run(self, member: int) -> Horizon:
        """The run with that member's noise, done once."""
        if member not in self._done:
            self._done[member] = self._run(member)
        return self._done[member]

    def _run(self, member: int) -> Horizon:
        hyper = self.subject.arrays()
        grads = jax.tree.map(jnp.asarray, jittered(self.grads, member, JITTER))
        state = self.subject.build(NUM_STEPS, **hyper).init(self.params)
        rows, seconds = [], []
        for i in range(NUM_STEPS // STRETCH + AFTER):
            begun = time.perf_counter()
            state, sums = self.stretch(hyper, grads, state, jnp.int32(i * STRETCH))
            rows.append(jax.tree.map(np.asarray, sums))
            seconds.append(time.perf_counter() - begun)
        third = len(seconds) // 3
        sheet = Sheet(tuple(self.params), (3,) * len(self.params), {NAME: _numbers(rows)})
        return Horizon(sheet, min(seconds[1:third]), min(seconds[-third:]))

    def _stretch(self, hyper: Any, grads: Any, state: Any, first: Any) -> tuple[Any, Any]:
        optimizer = self.subject.build(NUM_STEPS, **hyper)
        signs = jnp.asarray(np.sign(random((STRETCH,), "long signs")), jnp.float32)

        def step(carry: Any, i: Any) -> tuple[Any, None]:
            state, sums = carry
            t = first + i
            g = jax.tree.map(lambda x: x[t % _PERIOD], grads)
            extra = extra_args(self.subject.needs, t, {})
            value = 1 + 0.5 * jnp.float32(t % _PERIOD) / _PERIOD
            updates, state = optimizer.update(g, state, self.params, value=value, **extra)
            sums = jax.tree.map(functools.partial(_add, signs[i]), sums, updates)
            return (state, sums), None

        empty = jax.tree.map(lambda _: jnp.zeros(3, jnp.float32), self.params)
        (state, sums), _ = jax.lax.scan(step, (state, empty), jnp.arange(STRETCH, dtype=jnp.int32))
        return state, sums


def _add(sign: Any, sums: Any, update: Any) -> Any:
    """Adds the projection of an update, the same with this step's sign, and its size."""
    weights = jnp.asarray(0.5 + np.arange(update.size) % 3, jnp.float32)
    projected = jnp.vdot(weights, update.ravel().astype(jnp.float32))
    return sums + jnp.stack([projected, sign * projected, jnp.abs(update).sum()])


def _table(name: str, shape: tuple[int, ...]) -> np.ndarray:
    steady, fresh = (
        random(shape, f"long steady {name}"),
        random((_PERIOD, *shape), f"long {name} g"),
    )
    return np.asarray(0.5 * steady + 0.5 * fresh, np.float32)


def _numbers(rows: list[Any]) -> np.ndarray:
    return np.stack([np.concatenate([row[k] for k in row]) for row in rows]).astype(np.float64)
