"""The tree with a leaf of each kind, and the programs that several axes run on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from rl_eval.config import Setting
from rl_eval.gate.numerics.axes.digest import digest
from rl_eval.gate.numerics.axes.sheet import Look, Sheet, sizes_of, summed
from rl_eval.gate.numerics.axes.steps import JITTER, STEPS, Program, losses, program
from rl_eval.gate.numerics.axes.trees import gradients, jittered, paths, tree
from rl_eval.gate.numerics.subject import Subject


class Bench:
    """Programs of one optimizer, compiled once for each static setting."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.params = tree("kinds", "params")
        self.grads = gradients("kinds", "gradients", STEPS)
        self.values = losses()
        self._programs: dict[str, Program] = {}

    def alone(self, static: Mapping[str, Setting] | None = None) -> Callable[..., Any]:
        """Compiled; see `steps.Program`."""
        key = repr(sorted((static or {}).items()))
        if key not in self._programs:
            self._programs[key] = jax.jit(program(self.subject, static=static))
        return self._programs[key]

    @functools.cached_property
    def untold(self) -> Callable[..., Any]:
        """Compiled without the loss; the same program where the loss is not used."""
        given = self.subject.arrays(), self.params, self.grads, self.values
        told, untold = program(self.subject), program(self.subject, told=False)
        same = digest(jax.make_jaxpr(told)(*given)) == digest(jax.make_jaxpr(untold)(*given))
        return self.alone() if same else jax.jit(untold)

    def look(self, runs: Mapping[str, Callable[[Any, Any], Any]], grads: Any = None) -> Look:
        """An axis made of runs, each from (noise on the gradients, values) to updates."""
        leaves, sizes = paths(self.params), sizes_of(self.params)
        grads = self.grads if grads is None else grads

        def look(member: int) -> Sheet:
            noisy = jittered(grads, member, JITTER)
            return Sheet(
                leaves,
                sizes,
                {name: summed(run(noisy, self.values)) for name, run in runs.items()},
            )

        return look

    def default(self, grads: Any, values: Any) -> Any:
        """Updates with the optimizer's own settings."""
        return self.alone()(self.subject.arrays(), self.params, grads, values)


def scaled(tree: Any, factor: float) -> Any:
    return jax.tree.map(lambda x: np.asarray(x * np.float32(factor)), tree)
