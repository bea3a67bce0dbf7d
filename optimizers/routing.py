"""Which rule every parameter leaf gets, and how much optimizer state it costs."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from optimizers.spec import OptimizerSpec, Value

SHARED = "(shared)"


class Row(NamedTuple):
    """One parameter leaf; the last row of a table is the state that belongs to no single leaf."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    rule: str
    state_bytes: int


def routing_table(
    spec: OptimizerSpec, params: Any, num_steps: int = 1000, **hyperparameters: Value
) -> list[Row]:
    """A row for each leaf of `params` (arrays or shapes), and one for counters and the like.

    The bytes of all rows add up to the whole optimizer state. No array is allocated.
    """
    values = spec.resolve(hyperparameters)
    rules = (
        spec.routing(params, **values)
        if spec.routing
        else jax.tree.map(lambda _: spec.name, params)
    )
    paths, leaves = zip(*jax.tree.leaves_with_path(params), strict=True)
    owned, shared = _state_bytes(spec.build(num_steps, **hyperparameters).init, params)
    rows = [
        Row(_text(path), leaf.shape, str(leaf.dtype), rule, size)
        for path, leaf, rule, size in zip(paths, leaves, jax.tree.leaves(rules), owned, strict=True)
    ]
    return [*rows, Row(SHARED, (), "", "", shared)]


def _state_bytes(init: Any, params: Any) -> tuple[list[int], int]:
    """State bytes of each leaf, and of none alone.

    A part of the state belongs to the leaf with which it grows, so that nothing need be known
    about how the state is laid out.
    """
    leaves, treedef = jax.tree.flatten(params)

    def state(shapes: list[Any]) -> list[Any]:
        return jax.tree.leaves(jax.eval_shape(init, jax.tree.unflatten(treedef, shapes)))

    parts = state(leaves)
    owners: list[list[int]] = [[] for _ in parts]
    for i, leaf in enumerate(leaves):
        grown = jax.ShapeDtypeStruct(tuple(n + 1 for n in leaf.shape), leaf.dtype)
        after = state([*leaves[:i], grown, *leaves[i + 1 :]])
        for j, (small, large) in enumerate(zip(parts, after, strict=True)):
            if small.shape != large.shape:
                owners[j].append(i)

    owned, shared = [0] * len(leaves), 0
    for part, owner in zip(parts, owners, strict=True):
        size = part.size * part.dtype.itemsize
        if len(owner) == 1:
            owned[owner[0]] += size
        else:
            shared += size
    return owned, shared


def _text(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
