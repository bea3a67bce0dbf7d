"""Optimizers by name, and those given as objects of this process."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import optax

from optimizers import registry
from optimizers.references import as_spec
from optimizers.spec import OptimizerSpec
from rl_eval.settings import SettingsError
from rl_eval.setup.modules import folders

Optimizer: TypeAlias = str | OptimizerSpec | optax.GradientTransformation | Callable[..., Any]
OBJECT = "@"
"""Begins the name of an optimizer that is an object of this process: no other knows it."""


def named(optimizer: Optimizer) -> tuple[str, dict[str, OptimizerSpec]]:
    """The name of an optimizer, and its spec if no other process can find it by that.

    What a module holds under its own name is `module:name`, as on the command line. Lambdas,
    closures and transformations are `@NAME`, for as long as `registry.known(specs)` lasts.

    Raises:
        SettingsError: it is no optimizer.
    """
    if isinstance(optimizer, str):
        return optimizer, {}
    if reference := _reference(optimizer):
        return reference, {}
    label = getattr(optimizer, "name", None) or getattr(optimizer, "__name__", "optimizer")
    name = f"{OBJECT}{str(label).strip('<>').replace(':', '-')}"
    try:
        return name, {name: dataclasses.replace(as_spec(name, optimizer), name=name)}
    except ValueError as error:
        raise SettingsError(str(error)) from None


def named_all(
    given: Optimizer | Iterable[Optimizer],
) -> tuple[tuple[str, ...], dict[str, OptimizerSpec]]:
    """Names and specs of one or several optimizers; text may list names with commas.

    Raises:
        SettingsError: one is no optimizer, two objects have one name, or there is none.
    """
    single = isinstance(given, str | OptimizerSpec | optax.GradientTransformation)
    several: Any = [given] if single or callable(given) else given
    names: list[str] = []
    specs: dict[str, OptimizerSpec] = {}
    for optimizer in several:
        name, spec = named(optimizer)
        if spec and name in specs:
            raise SettingsError(f"two optimizers are called {name}; give each its own name")
        names += [part.strip() for part in name.split(",")]
        specs |= spec
    if not names or "" in names:
        raise SettingsError(f"{given}: expected names of optimizers, separated by commas")
    return tuple(dict.fromkeys(names)), specs


def spec_of(name: str, folder: str | None = None) -> OptimizerSpec:
    """The optimizer of that name; `folder`: where its module was found before.

    Raises:
        SettingsError: there is none, or it was an object of another process.
    """
    try:
        return registry.get(name, folders(folder))
    except ValueError as error:
        if name.startswith(OBJECT):
            raise SettingsError(
                f"{name} was an object of another process: give it again as optimizer="
            ) from None
        raise SettingsError(str(error)) from None


def refuse_objects(names: Iterable[str], where: str) -> None:
    """Objects of this process are unknown elsewhere.

    Raises:
        SettingsError: there is one among them; the message says how to give it.
    """
    for name in names:
        if name.startswith(OBJECT):
            raise SettingsError(
                f"{name} is an object of this process, which {where} cannot import: define it in "
                "a file, mine.py, as `make`, and give 'mine:make'; or run in this process, with "
                "workers='here'"
            )


def _reference(optimizer: Any) -> str | None:
    module, name = getattr(optimizer, "__module__", None), getattr(optimizer, "__qualname__", None)
    if module in (None, "__main__") or name is None or "<" in name:
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is optimizer else None
