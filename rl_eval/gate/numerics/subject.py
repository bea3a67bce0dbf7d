"""An optimizer in front of the numerics tier: how it is built, and what may be varied of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rl_eval.config import Setting

ACTIVATIONS = "activations"  # what the trees of the axes cannot supply


@dataclasses.dataclass(frozen=True)
class Subject:
    """An optimizer and its settings.

    Attributes:
        build: `build(num_steps, **settings)`, all other hyperparameters bound.
        needs: extra arguments of `update` beyond `params` and `value`.
        traced: hyperparameters that arrive as arrays in a run, and their values.
        ends: of these, the values at the ends of each domain.
        choices: static hyperparameters to their other values.
        routing: names the rule of each leaf of a tree, if that depends on more than its numbers.
    """

    build: Callable[..., Any]
    needs: frozenset[str] = frozenset()
    traced: Mapping[str, float] = dataclasses.field(default_factory=dict)
    ends: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    choices: Mapping[str, tuple[Setting, ...]] = dataclasses.field(default_factory=dict)
    routing: Callable[[Any], Any] | None = None

    def arrays(self, **changed: float) -> dict[str, jax.Array]:
        """The traced hyperparameters as a run hands them over."""
        return {name: jnp.float32(x) for name, x in {**self.traced, **changed}.items()}
