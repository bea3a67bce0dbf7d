"""Code that a file names: `module:attribute` is imported only for whoever asked for it.

What is typed is asked for. A configuration, a run or a sweep may come from a stranger; what it
names runs once it is repeated on the command line or `--trust-code` is given. Names of what is
built in or installed under an entry point are not code of the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from importlib.machinery import PathFinder
from pathlib import Path

from optimizers.importing import split
from rl_eval.config import RunConfig
from rl_eval.settings import SettingsError
from rl_eval.setup.modules import folders


@dataclasses.dataclass(frozen=True)
class Trust:
    """What may be imported: the names that were typed, or, by `code`, all that a file names."""

    names: frozenset[str] = frozenset()
    code: bool = False

    @classmethod
    def of(cls, typed: Collection[str | None], code: bool) -> Trust:
        return cls(frozenset(name for name in typed if name is not None), code)

    def check(self, config: RunConfig, source: Path) -> None:
        """Refuse to go on where a record names code that nobody asked for.

        Raises:
            SettingsError: says what would be imported, and from where.
        """
        self.check_env(config.env.id, config.env.folder, source)
        self.check_optimizer(config.optimizer.name, config.optimizer.folder, source)

    def check_env(self, env_id: str, folder: str | None, source: Path) -> None:
        """As `check`, of an environment."""
        if split(env_id)[0] not in ("", "gymnasium"):
            self._check("env", env_id, folder, source)

    def check_optimizer(self, name: str, folder: str | None, source: Path) -> None:
        """As `check`, of an optimizer."""
        if split(name)[0]:
            self._check("optimizer", name, folder, source)

    def _check(self, flag: str, name: str, folder: str | None, source: Path) -> None:
        if self.code or name in self.names:
            return
        raise SettingsError(
            f"{source} names code: '{name}' would be imported from {_place(name, folder)}, and "
            f"run. If you trust it, say so: --{flag} {name} again, or --trust-code"
        )


def _place(name: str, folder: str | None) -> str:
    """Where a module would come from, told without importing anything."""
    module = split(name)[0]
    top = module.partition(".")[0]
    for there in folders(folder):
        if module.endswith(".py") or "/" in module:
            if (there / module).is_file():
                return str(there / module)
        elif (there / top).is_dir() or (there / f"{top}.py").is_file():
            return str(there / module.replace(".", "/"))
    try:
        found = PathFinder.find_spec(top)
    except (ImportError, ValueError):
        found = None
    places = [found.origin] if found and found.origin else []
    places += list(found.submodule_search_locations or ()) if found else []
    return places[0] if places else "nowhere: there is no such module here"
