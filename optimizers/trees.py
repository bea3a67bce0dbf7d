"""One tree in the form of another, or the first place at which it cannot have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

_KINDS = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)


def settled(tree: Any, like: Any) -> Any:
    """`tree` in the structure and dtypes of `like`.

    A list may stand for a tuple, one mapping for another. A traced float32 hyperparameter, unlike
    Python's floats, promotes bfloat16 arrays; that is undone.

    Raises:
        ValueError: another structure, another shape, or a dtype that `like` cannot hold; names
            the first place.
    """
    if (found := difference(like, tree)) is not None:
        raise ValueError(found)
    leaves, structure = jax.tree.flatten(like)
    cast = map(_in_dtype, jax.tree.leaves(tree), leaves)
    return jax.tree.unflatten(structure, cast)


def difference(old: Any, new: Any, path: str = "") -> str | None:
    """The first place at which `new` cannot take the place of `old`, in words; None: it can."""
    before, after = _children(old), _children(new)
    if before is None and after is None:
        return _leaf_difference(old, new, path or "it")
    if before is None or after is None or not _alike(old, new):
        if type(old) is type(new) and _text(old) == _text(new):
            return f"what is compiled into it changes: {path or 'it'} is {_text(old)}"
        return f"{path or 'it'} is {_text(old)} at first, {_text(new)} later"
    for (key, child), (_, other) in zip(before, after, strict=True):
        if (found := difference(child, other, path + key)) is not None:
            return found
    return None


def _one_level(node: Any) -> tuple[list[tuple[Any, Any]], Any] | None:
    """(children with their keys, what is compiled in) of a node; None for a leaf."""
    if node is None:
        return [], None
    found = jax.tree_util.default_registry.flatten_one_level_with_keys(node)
    return None if found is None else (list(found[0]), found[1])


def _children(node: Any) -> list[tuple[str, Any]] | None:
    found = _one_level(node)
    if found is None:
        return None
    return [(jax.tree_util.keystr((key,)), child) for key, child in found[0]]


def _alike(old: Any, new: Any) -> bool:
    """Whether two nodes are of one form, but for what is below them."""
    before, after = _one_level(old), _one_level(new)
    if before is None or after is None:
        return False
    if type(old) is type(new):
        return before[1] == after[1] and len(before[0]) == len(after[0])
    kinds: tuple[Any, ...] = ((list, tuple), Mapping)
    plain = any(isinstance(old, kind) and isinstance(new, kind) for kind in kinds)
    named = hasattr(old, "_fields") or hasattr(new, "_fields")
    return plain and not named and [key for key, _ in before[0]] == [key for key, _ in after[0]]


def _leaf_difference(old: Any, new: Any, path: str) -> str | None:
    """Shapes are equal, and the dtype of `old` can hold what `new` has."""
    if not hasattr(old, "dtype"):
        return None
    if jnp.shape(new) != old.shape:
        return f"{path} is {_text(old)} at first, {_text(new)} later"
    wide, narrow = _kind(getattr(new, "dtype", jnp.result_type(new))), _kind(old.dtype)
    if wide > narrow:
        return f"{path} is {_text(old)} at first, {_text(new)} later, which it cannot hold"
    return None


def _kind(dtype: Any) -> int:
    if jnp.issubdtype(dtype, jax.dtypes.extended):
        return -1
    return next(i for i, kind in enumerate(_KINDS) if jnp.issubdtype(dtype, kind))


def _in_dtype(leaf: Any, other: Any) -> Any:
    same = getattr(leaf, "dtype", None) == getattr(other, "dtype", None)
    if same and not getattr(leaf, "weak_type", False):
        return leaf
    return jnp.asarray(leaf, other.dtype)


def _text(node: Any) -> str:
    """Such as float32[3,2], None, a tuple of 2."""
    if node is None:
        return "None"
    if hasattr(node, "dtype"):
        return f"{node.dtype}{list(node.shape)}"
    found = _children(node)
    if found is None:
        return type(node).__name__
    inside = ", ".join(key for key, _ in found[:5]) + (", ..." if len(found) > 5 else "")
    return f"a {type(node).__name__} of {inside or 'nothing'}"
