"""Spaces that ship with the project, by name."""

from __future__ import annotations

from pathlib import Path

from rl_eval.settings import SettingsError, near

FOLDER = Path(__file__).parent / "presets"


def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def path(name: str) -> Path:
    """The file of a preset.

    Raises:
        SettingsError: there is no such preset.
    """
    if name not in names():
        raise SettingsError(f"unknown preset {name}; {near(name, names())}")
    return FOLDER / f"{name}.yaml"
