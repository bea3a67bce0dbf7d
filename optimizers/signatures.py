"""From the signature of a function that makes an optimizer to its hyperparameters."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from optimizers.spec import (
    DEFAULT_LEARNING_RATE,
    LEARNING_RATES,
    Choice,
    Domain,
    Hyperparameter,
    Value,
    rate_domain,
)

Parameters = Mapping[str, inspect.Parameter]
LENGTHS = (  # names by which functions ask for the number of gradient steps of the run
    *("num_steps", "total_steps", "max_steps"),
    *("num_train_steps", "num_training_steps", "training_steps"),
)
SKIPPED = "skipped_steps"  # how many of them were left out so far; no user sets either
_PLAIN = (bool, int, float, str)
_WEIGHT_DECAYS = Choice((0.0, 1e-4, 1e-3, 1e-2, 1e-1))  # of the optimizers that ship


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """Its parameters, with annotations as types where they can be evaluated.

    Raises:
        ValueError: it has no signature to be read.
    """
    try:
        return inspect.signature(function, eval_str=True).parameters
    except Exception:  # evaluating an annotation that is imported for type checkers only
        return inspect.signature(function).parameters


def hyperparameters_of(optimizer: str, parameters: Parameters) -> Iterator[Hyperparameter]:
    """Those whose default is a float, int, bool, str, an enum's member or None.

    Raises:
        ValueError: a parameter without a default that is neither a length nor a learning rate.
    """
    for name, parameter in parameters.items():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if variadic or name == SKIPPED or _is_length(parameter):
            continue
        is_rate = name in LEARNING_RATES
        default, note = _default(optimizer, parameter, is_rate)
        kinds = _kinds(parameter.annotation)
        if default is None and kinds is not None and not kinds:
            continue  # a function or an array: nothing that a configuration can hold
        if isinstance(default, enum.Enum):
            member = spelled(default)
            yield Hyperparameter(name, member, Choice(tuple(map(spelled, type(default)))))
        elif default is None:
            domain = rate_domain(None) if is_rate else _domain(parameter, None, False)
            kinds = (float,) if is_rate else kinds or ()
            yield Hyperparameter(name, None, domain, help=note, types=kinds)
        elif isinstance(default, _PLAIN):
            yield Hyperparameter(name, default, _domain(parameter, default, is_rate), help=note)


def spelled(member: enum.Enum) -> str:
    """An enum's member as it stands in a configuration."""
    return str(member.value) if isinstance(member, str) else member.name


def call(
    function: Callable[..., Any],
    parameters: Parameters,
    num_steps: int,
    skipped_steps: Value = 0,
    **values: Value,
) -> Any:
    """What the function returns for hyperparameters as `hyperparameters_of` describes them."""
    for name, value in values.items():
        default = parameters[name].default
        if isinstance(default, enum.Enum):
            values[name] = next(m for m in type(default) if spelled(m) == value)
    values |= {name: num_steps for name, p in parameters.items() if _is_length(p)}
    if SKIPPED in parameters:
        values[SKIPPED] = skipped_steps
    positional = [
        values.pop(name)
        for name, parameter in parameters.items()
        if parameter.kind is parameter.POSITIONAL_ONLY and name in values
    ]
    return function(*positional, **values)


def _is_length(parameter: inspect.Parameter) -> bool:
    asked = parameter.default is parameter.empty and parameter.name in LENGTHS
    return asked or parameter.name == LENGTHS[0]


def _default(optimizer: str, parameter: inspect.Parameter, is_rate: bool) -> tuple[Value, str]:
    """The default as a plain value where it is one, and a note for users."""
    default, name = parameter.default, parameter.name
    if default is parameter.empty:
        if is_rate:
            return DEFAULT_LEARNING_RATE, "the function states no default"
        raise ValueError(
            f"optimizer '{optimizer}': parameter '{name}' has no default; give it one, or name a "
            f"function of yours that calls it with one (only {LENGTHS[0]} or {LENGTHS[1]}, the "
            f"gradient steps of the run, and a learning rate, {' or '.join(LEARNING_RATES)}, go "
            "without)"
        )
    if isinstance(default, np.generic | jax.Array) and np.ndim(default) == 0:
        default = default.item() if np.asarray(default).dtype.kind in "biuf" else default
    if isinstance(default, float):
        return float(default), ""
    if type(default) is int and (is_rate or _is_float(parameter.annotation)):
        return float(default), ""
    return default, ""


def _domain(parameter: inspect.Parameter, default: Value, is_rate: bool) -> Domain | None:
    if typing.get_origin(parameter.annotation) is typing.Literal:
        return Choice(typing.get_args(parameter.annotation))
    if isinstance(default, bool):
        return Choice((False, True))
    is_number = isinstance(default, float) or _kinds(parameter.annotation) == (float,)
    if parameter.name == "weight_decay" and is_number:
        return _WEIGHT_DECAYS
    return rate_domain(default) if is_rate else None


def _kinds(annotation: Any) -> tuple[type, ...] | None:
    """The plain types besides None that an annotation allows; None: it does not say.

    Where a float may stand, an int or bool is one written shorter.
    """
    if annotation in ("float", "float | None"):  # could not be evaluated
        return (float,)
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return None
    parts = list(_parts(annotation))
    if any(part is Any or isinstance(part, typing.TypeVar) for part in parts):
        return None
    found = tuple(kind for kind in _PLAIN if kind in parts)
    literals = {type(part) for part in parts if isinstance(part, _PLAIN)}
    return (float,) if float in found else (*found, *literals)


def _is_float(annotation: Any) -> bool:
    """Whether an integer can only be a float written shorter: it may not be one itself."""
    parts = list(_parts(annotation))
    return annotation == "float" or (float in parts and int not in parts)


def _parts(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Literal):
        for part in typing.get_args(annotation):
            yield from _parts(part)
    else:
        yield annotation
