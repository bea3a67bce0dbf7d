"""Spaces that ship with the project, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl_eval.settings import SettingsError, near
from sweeps.space.space import Space, read_space

FOLDER = Path(__file__).parent / "presets"


def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def read_preset(name: str, optimizers: Sequence[str]) -> Space:
    """The space of a preset for the optimizers of a sweep.

    Raises:
        SettingsError: there is no such preset, or it does not fit an optimizer.
    """
    return read_space(path(name), optimizers)


def path(name: str) -> Path:
    """The file of a preset.

    Raises:
        SettingsError: there is no such preset.
    """
    if name not in names():
        raise SettingsError(f"unknown preset {name}; {near(name, names())}")
    return FOLDER / f"{name}.yaml"
