"""Axes: every hyperparameter away from its default, one at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rl_eval.config import Setting
from rl_eval.gate.numerics.axes.bench import Bench
from rl_eval.gate.numerics.axes.sheet import Look
from rl_eval.gate.numerics.axes.trees import decades


def traced_settings(bench: Bench) -> Look:
    """Each traced hyperparameter at both ends of its domain, with one program."""
    runs = {
        f"{name}={value:g}": functools.partial(_traced, bench, name, value)
        for name, values in bench.subject.ends.items()
        for value in values
    }
    return bench.look(runs, decades(bench.grads))


def static_settings(bench: Bench) -> dict[str, Look]:
    """An axis for each other value of each static hyperparameter, since it may raise."""
    return {
        f"{name}={value}": bench.look(
            {f"{name}={value}": functools.partial(_static, bench, name, value)},
            decades(bench.grads),
        )
        for name, values in bench.subject.choices.items()
        for value in values
    }


def _traced(bench: Bench, name: str, value: float, grads: Any, values: Any) -> Any:
    hyper = bench.subject.arrays(**{name: value})
    return bench.alone()(hyper, bench.params, grads, values)


def _static(bench: Bench, name: str, value: Setting, grads: Any, values: Any) -> Any:
    run: Callable[..., Any] = bench.alone({name: value})
    return run(bench.subject.arrays(), bench.params, grads, values)
