"""Fit anybody's transformation to a learner's step: its arguments, its state, its dtypes."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optimizers.importing import describe
from optimizers.trees import settled

SUPPLIED = "params and value (the loss); an OptimizerSpec may ask for progress, key, activations"
_UNKNOWN_KEYWORD = re.compile(r"unexpected keyword argument '(\w+)'")
_LACKING = re.compile(r"missing \d+ required (?:keyword-only|positional) arguments?: (.*)")
_LINE_SEARCH = "a line search evaluates the loss again: use linesearch=None and a learning rate"
_MISFIT = (
    "a tree that it was made with (a mask, labels, a value a leaf) has not the form of the "
    "network's parameters"
)
_HINTS = (  # what the error of a rule that no learner can serve says, and what to tell its user
    (r"has no attribute '(fast|slow)'", "lookahead trains a pair of parameters, a learner has one"),
    (r"\bvalue_fn\b", f"a learner has no value_fn; {_LINE_SEARCH}"),
    (r"\b(grad_fn|opaque_mode)\b", "a learner has no grad_fn; use the rule's transparent mode"),
    (r"\b(obj_fn|loss_fn|hessian)\b", "a learner hands over no function of the loss"),
    (r"key accepts a scalar seed", "give optax a typed key, jax.random.key(seed), or the seed"),
)


class OptimizerError(ValueError):
    """An optimizer that cannot be built or take a step: its name, the cause, what can be done.

    `certain`: it can never work with a learner, whatever the network.
    """

    def __init__(self, message: str, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain


def as_transformation(found: Any) -> optax.GradientTransformation | None:
    """`found` if it is a transformation or works as one: it has `init` and `update`; else None."""
    if isinstance(found, optax.GradientTransformation):
        return found
    if isinstance(found, type):
        return None
    if callable(convert := getattr(found, "gradient_transformation", None)):
        return convert()
    init, update = getattr(found, "init", None), getattr(found, "update", None)
    if callable(init) and callable(update):
        return optax.GradientTransformationExtraArgs(init, update)
    return None


def fitted(made: optax.GradientTransformation, name: str) -> optax.GradientTransformationExtraArgs:
    """`made` as a learner calls it.

    Its `update` is given those extra arguments that it takes. The state keeps the structure,
    shapes and dtypes that it has after `init`; updates have those of the parameters, and zeros
    where the rule returns None.

    Raises:
        OptimizerError: when called or traced.
    """

    def init(params: optax.Params) -> optax.OptState:
        with _told_of(name):
            state = made.init(params)
        return jax.tree_util.tree_map_with_path(lambda *leaf: _as_array(name, *leaf), state)

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        like = updates if params is None else params
        with _told_of(name):
            new_updates, new_state = _updated(made.update, updates, state, params, extra_args)
        try:
            new_updates = settled(_without_none(new_updates, like), like)
        except ValueError as error:
            raise OptimizerError(f"optimizer '{name}': of its updates {error}") from None
        try:
            return new_updates, settled(new_state, state)
        except ValueError as error:
            raise OptimizerError(
                f"optimizer '{name}': of its state {error}; a state must keep its structure, "
                "shapes and kinds of number from `init` on"
            ) from None

    return optax.GradientTransformationExtraArgs(init, update)


def _updated(
    update: Callable[..., Any],
    updates: optax.Updates,
    state: optax.OptState,
    params: optax.Params | None,
    offered: Mapping[str, Any],
) -> Any:
    """What `update` returns, given what its signature takes.

    A rule inside a chain may take less than the chain does: what it calls unknown is left out.
    """
    takes_params, extra = _accepted(update, offered)
    positional = (updates, state, params) if takes_params else (updates, state)
    while True:
        try:
            return update(*positional, **extra)
        except TypeError as error:
            unknown = _UNKNOWN_KEYWORD.search(str(error))
            if unknown is None or unknown[1] not in extra:
                raise
            extra = {key: value for key, value in extra.items() if key != unknown[1]}


def _accepted(
    update: Callable[..., Any], offered: Mapping[str, Any]
) -> tuple[bool, dict[str, Any]]:
    """Whether `update` takes params, and those of the extra arguments that it takes."""
    try:
        parameters = inspect.signature(update).parameters.values()
    except (TypeError, ValueError):  # a builtin: it will say itself what it does not take
        return True, dict(offered)
    kinds = {parameter.kind for parameter in parameters}
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_params = len(positional) > 2 or inspect.Parameter.VAR_POSITIONAL in kinds
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return takes_params, dict(offered)
    named = {p.name for p in parameters} - {p.name for p in positional[:3]}
    return takes_params, {key: value for key, value in offered.items() if key in named}


def _without_none(updates: optax.Updates, like: optax.Params) -> optax.Updates:
    """Zeros for None, which is the custom where leaves are frozen."""
    with contextlib.suppress(ValueError):  # another structure, of which `settled` will tell
        return jax.tree.map(lambda p, u: jnp.zeros_like(p) if u is None else u, like, updates)
    return updates


def _as_array(name: str, path: Any, leaf: Any) -> Any:
    if hasattr(leaf, "dtype") and not isinstance(leaf, jax.Array):
        leaf = jnp.asarray(leaf)
    if isinstance(leaf, jax.Array):
        return leaf
    if isinstance(leaf, bool | int | float | complex):
        return jax.lax.convert_element_type(leaf, jnp.result_type(leaf))
    where = jax.tree_util.keystr(path) or "all of it"
    raise OptimizerError(
        f"optimizer '{name}': of its state {where} is {leaf!r:.60}; a state may hold arrays, "
        "numbers and None. Keep other things in the closure of `update`"
    )


@contextlib.contextmanager
def _told_of(name: str) -> Iterator[None]:
    """What is raised within says whose it is, and what can be done where that is known."""
    try:
        yield
    except OptimizerError:
        raise
    except Exception as error:
        text = str(error)
        hint = next((hint for pattern, hint in _HINTS if re.search(pattern, text)), None)
        if hint is None and (lacking := _LACKING.search(text)):
            hint = f"a learner has no {lacking[1]}; it hands over {SUPPLIED}"
        certain = hint is not None
        if hint is None and "pytree structure error" in text:
            hint = _MISFIT
        if isinstance(error, jax.errors.ConcretizationTypeError):
            hint = (
                "it decides in Python by a number that is traced: return an OptimizerSpec in which "
                "that hyperparameter has static=True"
            )
        told = f"optimizer '{name}' cannot take a step: {hint + ' (' if hint else ''}"
        raise OptimizerError(
            f"{told}{describe(error)}{')' if hint else ''}", certain=certain
        ) from error
