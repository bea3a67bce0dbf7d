"""Rules that evaluate other parameters than they train, recognised by their state."""

from __future__ import annotations

import re
from typing import Any

import jax
import optax
from optax import contrib

# Names of states that keep an average or a slow copy of the parameters.
_AVERAGES = re.compile(
    r"schedule_?free|look_?ahead|swa(_|state|$)|polyak_?averag|averaged?_?param|param\w*(ema|averag)"
    r"|(ema|slow|avg|averag\w*)_?(of_?)?(params|weights|model)",
    re.IGNORECASE,
)


def schedule_free_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The parameters to evaluate, of a rule with optax's schedule-free anywhere in it.

    Leaves that no schedule-free part of a partition or mask trains stay as they are.
    """

    def masked(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    for found in _nodes(state, contrib.ScheduleFreeState):
        mine = jax.tree.map(lambda z, p: z if masked(z) else p, found.z, params, is_leaf=masked)
        evaluated = contrib.schedule_free_eval_params(found, mine)
        params = jax.tree.map(lambda x, p: p if masked(x) else x, evaluated, params, is_leaf=masked)
    return params


def is_schedule_free(state: optax.OptState) -> bool:
    """Whether optax's schedule-free is anywhere in it."""
    return bool(_nodes(state, contrib.ScheduleFreeState))


def average_in(state: optax.OptState) -> str | None:
    """The name of a part of the state that looks like parameters to evaluate; None without."""
    names = [
        name
        for node in _all_nodes(state)
        for name in (type(node).__name__, *getattr(node, "_fields", ()))
        if not isinstance(node, contrib.ScheduleFreeState)
    ]
    paths = [
        jax.tree_util.keystr(path[-1:])
        for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]
    ]
    return next((name for name in (*names, *paths) if _AVERAGES.search(name)), None)


def _nodes(state: optax.OptState, kind: type) -> list[Any]:
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in leaves if isinstance(node, kind)]


def _all_nodes(state: optax.OptState) -> list[Any]:
    """Every inner node, parents first."""
    found: list[Any] = []
    jax.tree.leaves(state, is_leaf=lambda node: bool(found.append(node)))  # type: ignore[func-returns-value]
    return found
