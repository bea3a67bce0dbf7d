"""From a `module:attribute` string, or what an entry point names, to an OptimizerSpec."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optax

from optimizers.evaluated import average_in, is_schedule_free, schedule_free_params
from optimizers.fitting import as_transformation
from optimizers.importing import ImportFailedError, ModuleRaisedError, describe, load, split
from optimizers.probing import STEPS, first_state, probe
from optimizers.signatures import Parameters, call, hyperparameters_of, parameters_of
from optimizers.spec import OptimizerSpec, Value

_NOT_ONE = (
    "expected an OptimizerSpec, an optax transformation, or a function that returns one of them"
)


class OptimizerWarning(UserWarning):
    """Something about a user's optimizer that may make its numbers other than they think."""


class OptimizerFailedError(ValueError):
    """An optimizer that is there, and raises while it is imported or built."""


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
    except ModuleRaisedError as error:
        raise OptimizerFailedError(f"optimizer '{reference}': {error}") from error
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

    The function is called with the run's length if it takes `num_steps` or the like, and with
    `skipped_steps` (see `OptimizerSpec`) if it takes that. Parameters with a float, int, bool,
    str, enum or None default become hyperparameters; others keep their default. Floats are
    traced, except those on which the function branches in Python. A rule that evaluates other
    parameters than it trains is recognised where it is optax's schedule-free, else warned of.

    Raises:
        ValueError: anything else, a function that fails with its defaults, or a rule that no
            learner can serve.
    """
    try:
        hash(found)
    except TypeError:  # an instance of a dataclass, say
        return _as_spec(name, found)
    return _remembered(name, found)


@functools.lru_cache(maxsize=64)
def _remembered(name: str, found: Any) -> OptimizerSpec:
    """`_as_spec`, which a sweep asks for at every trial."""
    return _as_spec(name, found)


def _as_spec(name: str, found: Any) -> OptimizerSpec:
    if isinstance(found, OptimizerSpec):
        return _tried(found, stated=True)
    if (transformation := as_transformation(found)) is not None:
        return _tried(OptimizerSpec(name, make=lambda num_steps: transformation))
    if not callable(found):
        raise ValueError(f"optimizer '{name}' is {found!r:.100}; {_NOT_ONE}{_methods(name, found)}")
    parameters = _parameters(name, found)
    hyperparameters = tuple(hyperparameters_of(name, parameters))
    defaults = {h.name: h.default for h in hyperparameters}
    try:
        made = call(found, parameters, STEPS, **defaults)
    except Exception as error:
        raise OptimizerFailedError(
            f"optimizer '{name}' fails with its defaults ({defaults}): {describe(error)}"
        ) from error
    if isinstance(made, OptimizerSpec):
        return _tried(made, stated=True)
    if as_transformation(made) is None:
        raise ValueError(
            f"optimizer '{name}' returns {made!r:.100}; {_NOT_ONE}{_methods(name, made)}"
        )

    def make(num_steps: int, **values: Value) -> optax.GradientTransformation:
        transformation = as_transformation(call(found, parameters, num_steps, **values))
        assert transformation is not None
        return transformation

    follows_run = "skipped_steps" in parameters
    return _tried(OptimizerSpec(name, make, hyperparameters, follows_run=follows_run))


def _tried(spec: OptimizerSpec, *, stated: bool = False) -> OptimizerSpec:
    """The spec with what a trial step tells: static numbers, and parameters to evaluate.

    `stated`: a spec of the user's, who says what is static; only its state is looked at.
    """
    skipped = {"skipped_steps": 0} if spec.follows_run else {}
    build = functools.partial(spec.make, STEPS, **skipped)
    look = first_state if stated else probe
    probed = look(spec.name, build, spec.hyperparameters)
    if probed.problem is not None:
        _warn(
            f"{probed.problem}. That was on a small network, so a run may do better; numbers that "
            "it decides by in Python, and parameters to evaluate instead of those it trains, are "
            "found only as far as an OptimizerSpec names them"
        )
    if not stated:
        hyperparameters = tuple(
            dataclasses.replace(h, static=h.name in probed.static)
            if h.traced or h.default is None
            else h
            for h in spec.hyperparameters
        )
        spec = dataclasses.replace(spec, hyperparameters=hyperparameters)
    return _evaluated(spec, probed.state)


def _evaluated(spec: OptimizerSpec, state: optax.OptState | None) -> OptimizerSpec:
    """The spec with the parameters to evaluate, where its state tells of others than it trains."""
    if state is None or spec.eval_params is not None:
        return spec
    if is_schedule_free(state):
        return dataclasses.replace(spec, eval_params=schedule_free_params)
    if (average := average_in(state)) is not None:
        _warn(
            f"optimizer '{spec.name}': its state has {average}, which looks like parameters to "
            "evaluate instead of those it trains. Evaluations play the trained ones; return an "
            "OptimizerSpec with eval_params to have the others played"
        )
    return spec


def _warn(message: str) -> None:
    warnings.warn(message, OptimizerWarning, stacklevel=2)


def _parameters(name: str, found: Callable[..., Any]) -> Parameters:
    try:
        return parameters_of(found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"optimizer '{name}': {error}; wrap it in a function of yours") from error


def _methods(name: str, found: Any) -> str:
    """A hint where an object has methods that may be what was meant."""
    if found is None or isinstance(found, bool | int | float | str | tuple | list | dict):
        return ""
    methods = [
        method
        for method, _ in inspect.getmembers(type(found), inspect.isfunction)
        if not method.startswith("_")
    ]
    if not methods:
        return ""
    return f". Of its methods ({', '.join(methods[:8])}) name the one that returns it"
