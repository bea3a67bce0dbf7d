"""Axis: the same leaves under other names, in another order and in other containers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax.core import FrozenDict

from rl_eval.gate.numerics.axes.digest import digest
from rl_eval.gate.numerics.axes.sheet import Sheet, sizes_of, summed
from rl_eval.gate.numerics.axes.steps import JITTER, STEPS, furthest, losses, program
from rl_eval.gate.numerics.axes.trees import gradients, jittered, paths, tree
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import DRAWS

LIMIT = 1e-3  # of a leaf's largest update; rounding in another order stays far below
Rebuild = Callable[[list[Any]], Any]


class _Pair(NamedTuple):
    first: Any
    rest: Any


@dataclasses.dataclass(frozen=True)
class Naming:
    """Which leaves' updates change with what.

    Attributes:
        changed: by way to write the tree, paths in the tree of names.
        routed: likewise, leaves that are routed to another rule, with both.
    """

    changed: dict[str, tuple[str, ...]]
    routed: dict[str, dict[str, str]]


class Names:
    """Programs on the tree of names."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.params = tree("names", "params")
        self.leaves = paths(self.params)
        self.program = program(subject)
        self.compiled = jax.jit(self.program)

    @functools.cached_property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return DRAWS in str(self._trace(_plain))

    def __call__(self, member: int) -> Sheet:
        """Updates under the names as they are."""
        grads = jittered(gradients("names", "gradients", STEPS), member, JITTER)
        updates = self.compiled(self.subject.arrays(), self.params, grads, losses())
        name = f"{len(self.leaves)} leaves"
        return Sheet(self.leaves, sizes_of(self.params), {name: summed(updates)})

    def naming(self) -> Naming:
        """Compares every way to write the tree with the plain one, a dictionary of numbers.

        A program that is the same to the last number is not run.
        """
        plain = digest(self._trace(_plain))
        changed: dict[str, tuple[str, ...]] = {}
        routed: dict[str, dict[str, str]] = {}
        for name, rebuild in self._ways().items():
            if name == "order" and self.draws:
                continue  # each leaf gets other random numbers
            if name == "order" or digest(self._trace(rebuild)) != plain:
                moved = furthest(self._updates(_plain), self._updates(rebuild), LIMIT)
                if moved:
                    changed[name] = tuple(self.leaves[i] for i in sorted(moved))
            rules = self._rules(rebuild)
            if rules:
                routed[name] = rules
        return Naming(changed, routed)

    def _ways(self) -> dict[str, Rebuild]:
        treedef = jax.tree.structure(self.params)
        return {
            "names": lambda leaves: jax.tree.unflatten(treedef, leaves),
            "order": lambda leaves: {f"leaf_{999 - i}": x for i, x in enumerate(leaves)},
            "list": list,
            "tuple": tuple,
            "FrozenDict": lambda leaves: FrozenDict(_plain(leaves)),
            "namedtuple": lambda leaves: _Pair(leaves[0], _plain(leaves[1:])),
            "nested": lambda leaves: {"a": [{"b": x} for x in leaves[:5]], "c": (leaves[5:],)},
        }

    def _trace(self, rebuild: Rebuild) -> Any:
        params = rebuild(jax.tree.leaves(self.params))
        grads = rebuild(jax.tree.leaves(gradients("names", "gradients", STEPS)))
        return jax.make_jaxpr(self.program)(self.subject.arrays(), params, grads, losses())

    def _updates(self, rebuild: Rebuild) -> Any:
        """Updates in the order in which the leaves were given."""
        grads = jax.tree.leaves(gradients("names", "gradients", STEPS))
        leaves = jax.tree.leaves(self.params)
        order = jax.tree.leaves(rebuild(list(range(len(leaves)))))
        given = self.subject.arrays(), rebuild(leaves), rebuild(grads), losses()
        updates = jax.tree.leaves(self.compiled(*given))
        return [updates[order.index(i)] for i in range(len(leaves))]

    def _rules(self, rebuild: Rebuild) -> dict[str, str]:
        """Leaves whose rule is another one than in the plain tree, with both."""
        if self.subject.routing is None:
            return {}
        leaves = jax.tree.leaves(self.params)
        order = jax.tree.leaves(rebuild(list(range(len(leaves)))))
        there = jax.tree.leaves(self.subject.routing(rebuild(leaves)))
        plain = jax.tree.leaves(self.subject.routing(_plain(leaves)))
        rules = [(plain[i], there[order.index(i)]) for i in range(len(leaves))]
        named = zip(self.leaves, rules, strict=True)
        return {leaf: f"{one}, as named {other}" for leaf, (one, other) in named if one != other}


def _plain(leaves: list[Any]) -> Any:
    return {f"leaf_{i:03d}": x for i, x in enumerate(leaves)}
