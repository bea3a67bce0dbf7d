"""Axes: gradients and losses that a run meets on its bad days."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from rl_eval.gate.numerics.axes.bench import Bench, scaled
from rl_eval.gate.numerics.axes.sheet import Look

_ODD_STEP = 2  # of the gradient that is not finite


def extreme_gradients(bench: Bench) -> Look:
    """None, huge and tiny ones (beyond float32's range when squared), sparse, NaN, infinite.

    And ordinary ones where the parameters are zero or huge.
    """
    changes: dict[str, Callable[[Any], Any]] = {
        "zero": lambda g: scaled(g, 0.0),
        "huge": lambda g: scaled(g, 1e30),
        "large": lambda g: scaled(g, 1e12),
        "tiny": lambda g: scaled(g, 1e-30),
        "of one leaf": lambda g: _on_leaf(g, lambda number, x: x if number == 1 else 0 * x),
        "of one element": lambda g: jax.tree.map(_first_element, g),
        "NaN in one leaf": lambda g: _on_leaf(g, lambda n, x: _spoiled(x, np.nan, n == 2)),
        "NaN everywhere": lambda g: jax.tree.map(lambda x: _spoiled(x, np.nan, True), g),
        "inf in one leaf": lambda g: _on_leaf(g, lambda n, x: _spoiled(x, np.inf, n == 3)),
        "-inf everywhere": lambda g: jax.tree.map(lambda x: _spoiled(x, -np.inf, True), g),
    }
    runs = {
        f"gradients: {name}": functools.partial(_with_gradients, bench, change)
        for name, change in changes.items()
    }
    params = {
        f"parameters: {name}": functools.partial(_with_params, bench, factor)
        for name, factor in (("zero", 0.0), ("huge", 1e15))
    }
    return bench.look({**runs, **params})


def other_losses(bench: Bench) -> Look:
    """A loss that is negative, huge, zero, or not finite at one step."""
    odd = np.where(np.arange(len(bench.values)) == _ODD_STEP, np.float32(np.nan), bench.values)
    changes = {
        "negative": -bench.values,
        "huge": bench.values * np.float32(1e12),
        "zero": 0 * bench.values,
        "NaN once": odd,
    }
    runs: dict[str, Callable[[Any, Any], Any]] = {
        f"losses: {name}": functools.partial(_with_losses, bench, changed)
        for name, changed in changes.items()
    }
    return bench.look(runs)


def no_loss(bench: Bench) -> Look:
    """`update` without `value`."""

    def run(grads: Any, values: Any) -> Any:
        return bench.untold(bench.subject.arrays(), bench.params, grads, values)

    return bench.look({"losses: none": run})


def _with_gradients(bench: Bench, change: Callable[[Any], Any], grads: Any, values: Any) -> Any:
    return bench.default(change(grads), values)


def _with_params(bench: Bench, factor: float, grads: Any, values: Any) -> Any:
    params = scaled(bench.params, factor)
    return bench.alone()(bench.subject.arrays(), params, grads, values)


def _with_losses(bench: Bench, changed: np.ndarray, grads: Any, values: Any) -> Any:
    del values
    return bench.default(grads, changed)


def _on_leaf(grads: Any, change: Callable[[int, np.ndarray], np.ndarray]) -> Any:
    leaves, treedef = jax.tree.flatten(grads)
    return jax.tree.unflatten(treedef, [change(i, x) for i, x in enumerate(leaves)])


def _first_element(x: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(x)
    kept.reshape(len(x), -1)[:, 0] = x.reshape(len(x), -1)[:, 0]
    return kept


def _spoiled(x: np.ndarray, by: float, here: bool) -> np.ndarray:
    """One element of one step."""
    if not here:
        return x
    spoiled = x.copy()
    spoiled[_ODD_STEP].reshape(-1)[0] = by
    return spoiled
