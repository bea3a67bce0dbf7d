"""Environments and optimizers that a user names as `module:name`, imported, and their folders.

The module is looked for in the folder one stands in. What is read back from a record is looked for
first where it was found then (`env.folder`, `optimizer.folder`).
"""

from __future__ import annotations

from pathlib import Path

from optimizers.importing import ImportFailedError, load, split
from rl_eval.config import RunConfig
from rl_eval.envs.described import Described
from rl_eval.envs.registry import describe, register_from
from rl_eval.settings import SettingsError


def folders(recorded: str | None) -> list[Path]:
    """Where to look for a module: where it was found before, then the working directory."""
    before = [Path(recorded)] if recorded else []
    return list(dict.fromkeys([*before, Path.cwd()]))


def environment(env_id: str, recorded: str | None = None) -> tuple[Described, str | None]:
    """An environment, and the folder of its module; None for what needs none.

    Raises:
        SettingsError: it is unknown, or its module cannot be imported, with the cause.
    """
    name, _ = split(env_id)
    try:
        if name in ("", "gymnasium"):
            return describe(env_id), None
        found = load(name, folders(recorded))
        register_from(found.module, env_id)
        return describe(env_id), _text(found.folder)
    except ImportFailedError as error:
        raise SettingsError(f"environment '{env_id}': {error}{_moved(recorded)}") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None


def folder_of(optimizer: str, recorded: str | None = None) -> str | None:
    """The folder of the module of `module:attribute`; None for what needs none."""
    name, _ = split(optimizer)
    try:
        return _text(load(name, folders(recorded)).folder) if name else None
    except ImportFailedError as error:
        raise SettingsError(f"optimizer '{optimizer}': {error}{_moved(recorded)}") from None


def found_again(config: RunConfig) -> None:
    """Import what a recorded configuration names, for a process that did not get it from a user.

    Raises:
        SettingsError: a module is gone; the folder it was found in is named.
    """
    if ":" in config.env.id:
        environment(config.env.id, config.env.folder)
    folder_of(config.optimizer.name, config.optimizer.folder)


def _text(folder: Path | None) -> str | None:
    return None if folder is None else str(folder)


def _moved(recorded: str | None) -> str:
    return f"; it was found in {recorded} when the run began" if recorded else ""
