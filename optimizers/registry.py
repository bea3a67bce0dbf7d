"""Which optimizers there are, by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType

from optimizers.handcrafted import HANDCRAFTED
from optimizers.importing import describe
from optimizers.learned.celo import CELO, CELO_ADAM
from optimizers.learned.celo2 import CELO2, CELO2_BASE
from optimizers.learned.mlp_lopt import MLP_LOPT
from optimizers.learned.mulo import MULO
from optimizers.learned.velo import VELO, VELO_S
from optimizers.references import as_spec, from_reference
from optimizers.spec import OptimizerSpec

ENTRY_POINTS = "rl_eval.optimizers"

BUILT_IN: tuple[OptimizerSpec, ...] = (
    *HANDCRAFTED,
    CELO2,
    CELO2_BASE,
    VELO,
    VELO_S,
    CELO,
    CELO_ADAM,
    MLP_LOPT,
    MULO,
)

_registered: dict[str, OptimizerSpec] = {spec.name: spec for spec in BUILT_IN}
_known: ContextVar[Mapping[str, OptimizerSpec]] = ContextVar("known", default=MappingProxyType({}))


def names() -> tuple[str, ...]:
    """Built-in, registered and installed optimizers. Nothing is loaded."""
    return tuple(dict.fromkeys([*_registered, *sorted(_installed())]))


def get(name: str, folders: Sequence[Path] = ()) -> OptimizerSpec:
    """The optimizer of that name, or the one at `module:attribute`, looked for in `folders` first.

    Raises:
        ValueError: unknown (the near names are listed), or it cannot be loaded (with the reason).
    """
    if name in (here := _known.get()):
        return here[name]
    if ":" in name:
        return from_reference(name, folders)
    if name in _registered:
        return _registered[name]
    installed = _installed()
    if name in installed:
        return _load(installed[name])
    near = difflib.get_close_matches(name.lower().replace("_", "-"), names(), cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names())}."
    raise ValueError(f"unknown optimizer '{name}'; {hint} One of your own is module:attribute.")


def register(spec: OptimizerSpec) -> None:
    """Make `spec` available by its name in this process; registering it again replaces it.

    Raises:
        ValueError: the name of a built-in, or one that reads as `module:attribute`.
    """
    if ":" in spec.name or spec.name in {built_in.name for built_in in BUILT_IN}:
        raise ValueError(f"optimizer name '{spec.name}' is taken or contains ':'; choose another")
    _registered[spec.name] = spec


@contextmanager
def known(specs: Mapping[str, OptimizerSpec]) -> Iterator[None]:
    """Within this block and thread, names that lead to optimizers nobody else can see."""
    token = _known.set({**_known.get(), **specs})
    try:
        yield
    finally:
        _known.reset(token)


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _load(point: EntryPoint) -> OptimizerSpec:
    try:
        found = point.load()
    except Exception as error:
        package = f" of package {point.dist.name}" if point.dist else ""
        raise ValueError(
            f"optimizer '{point.name}'{package}: loading {point.value} failed: {describe(error)}"
        ) from error
    return as_spec(point.name, found)
