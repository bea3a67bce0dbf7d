"""From a `module:attribute` string, or what an entry point names, to an OptimizerSpec."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optimizers.importing import ImportFailedError, describe, load, split
from optimizers.spec import Choice, Domain, Hyperparameter, LogUniform, OptimizerSpec, Value

LEARNING_RATES = ("learning_rate", "lr")
DEFAULT_LEARNING_RATE = 3e-4  # for a function that states none
_PROBE_STEPS = 1000

Make = Callable[..., Any]
Parameters = Mapping[str, inspect.Parameter]


def from_reference(reference: str, folders: Sequence[Path] = ()) -> OptimizerSpec:
    """The optimizer at `module:attribute` or `path/to/file.py:attribute`.

    `folders`: where modules are looked for first; by default the working directory.

    Raises:
        ValueError: the module cannot be imported, lacks the attribute, or it is no optimizer.
    """
    module_name, attribute = split(reference)
    try:
        module = load(module_name, folders).module
        found = functools.reduce(getattr, attribute.split("."), module)
    except ImportFailedError as error:
        raise ValueError(f"optimizer '{reference}': {error}") from error
    except AttributeError as error:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise ValueError(
            f"optimizer '{reference}': {error}; it has {', '.join(public) or 'nothing'}"
        ) from error
    return as_spec(reference, found)


def as_spec(name: str, found: Any) -> OptimizerSpec:
    """A spec from a spec, an optax transformation, or a function that returns one of them.

    The function is called with `num_steps` if it takes that. Its parameters with a float, int,
    bool, str or None default become hyperparameters; others keep their default. Floats are
    traced, except those on which the function branches in Python.

    Raises:
        ValueError: anything else, or a function that fails with its defaults.
    """
    if not callable(found):
        return _spec_of(name, found, what=f"is {found!r}")
    parameters = _signature(found)
    hyperparameters = tuple(_hyperparameters(name, parameters))
    make = functools.partial(_call, found, parameters)
    defaults = {h.name: h.default for h in hyperparameters}
    try:
        made = make(_PROBE_STEPS, **defaults)
    except Exception as error:
        raise ValueError(
            f"optimizer '{name}' fails with its defaults ({defaults}): {describe(error)}"
        ) from error
    spec = _spec_of(name, made, what=f"returns {made!r}")
    if isinstance(made, OptimizerSpec):
        return spec
    static = _branched_on(make, hyperparameters)
    return dataclasses.replace(
        spec,
        make=make,
        hyperparameters=tuple(
            dataclasses.replace(h, static=True) if h.name in static else h for h in hyperparameters
        ),
    )


def _spec_of(name: str, found: Any, what: str) -> OptimizerSpec:
    if isinstance(found, OptimizerSpec):
        return found
    if isinstance(found, optax.GradientTransformation):
        return OptimizerSpec(name, make=lambda num_steps: found)
    raise ValueError(
        f"optimizer '{name}' {what}; expected an OptimizerSpec, an optax transformation, or a "
        "function that returns one of them"
    )


def _signature(function: Make) -> Parameters:
    try:
        return inspect.signature(function, eval_str=True).parameters
    except Exception:  # evaluating an annotation that is imported for type checkers only
        return inspect.signature(function).parameters


def _hyperparameters(optimizer: str, parameters: Parameters) -> Iterator[Hyperparameter]:
    for name, parameter in parameters.items():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if variadic or name == "num_steps":
            continue
        default, note = parameter.default, ""
        is_rate = name in LEARNING_RATES
        if default is parameter.empty:
            if not is_rate:
                raise ValueError(
                    f"optimizer '{optimizer}': parameter '{name}' has no default; give it one"
                )
            default, note = DEFAULT_LEARNING_RATE, "the function states no default"
        if type(default) is int and (is_rate or parameter.annotation in (float, "float")):
            default = float(default)
        if default is None or isinstance(default, (float, int, bool, str)):
            domain = _domain(parameter.annotation, default, is_rate)
            yield Hyperparameter(name, default, domain, help=note)


def _domain(annotation: Any, default: Value, is_rate: bool) -> Domain | None:
    if typing.get_origin(annotation) is typing.Literal:
        return Choice(typing.get_args(annotation))
    if isinstance(default, bool):
        return Choice((False, True))
    if is_rate and isinstance(default, float) and default > 0:
        return LogUniform(default / 100, default * 100)
    return None


def _call(function: Make, parameters: Parameters, num_steps: int, **values: Value) -> Any:
    if "num_steps" in parameters:
        values["num_steps"] = num_steps
    positional = [
        values.pop(name)
        for name, parameter in parameters.items()
        if parameter.kind is parameter.POSITIONAL_ONLY and name in values
    ]
    return function(*positional, **values)


def _branched_on(make: Make, hyperparameters: Collection[Hyperparameter]) -> set[str]:
    """The floats that cannot be traced, found by tracing one step on a small tree."""
    defaults = {h.name: h.default for h in hyperparameters}
    floats = {h.name for h in hyperparameters if h.traced}

    def build(values: Mapping[str, Value]) -> optax.GradientTransformationExtraArgs:
        return optax.with_extra_args_support(make(_PROBE_STEPS, **{**defaults, **values}))

    def step(values: Mapping[str, Value]) -> Any:
        made = build(values)
        params = {"layer": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}}
        return made.update(params, made.init(params), params, value=jnp.float32(0))

    def only_build(values: Mapping[str, Value]) -> None:
        build(values)

    def traces(probe: Callable[..., Any], names: Collection[str]) -> bool:
        try:
            jax.eval_shape(probe, {name: jnp.float32(defaults[name]) for name in names})
        except Exception:
            return False
        return True

    # A rule made for one network's parameters only may fail on the small tree.
    probe = step if traces(step, ()) else only_build
    if traces(probe, floats):
        return set()
    culprits = {name for name in floats if not traces(probe, {name})}
    return culprits if traces(probe, floats - culprits) else floats
