"""Our own packages are imported as ours, whatever else is called `optimizers` or `sweeps`.

A user's repository may well have such folders, and PYTHONPATH=. puts them first. Also a file to
run as it is: `python -P rl_eval/packages.py MODULE ARGUMENTS` runs one of our modules so.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("rl_eval", "optimizers", "sweeps")


class _Ours:
    """An import finder for the three packages; what is in them is found through them."""

    @staticmethod
    def find_spec(
        name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(ROOT)]) if name in NAMES else None


def prefer_ours() -> None:
    """Have the three names mean our packages in this process, from now on.

    Raises:
        ImportError: one of them was imported from elsewhere before.
    """
    for name in NAMES:
        loaded = sys.modules.get(name)
        places = [Path(place).resolve() for place in getattr(loaded, "__path__", ())]
        if loaded is not None and ROOT / name not in places:
            where = getattr(loaded, "__file__", None) or ", ".join(map(str, places))
            raise ImportError(
                f"rl-eval has a package '{name}', and another of that name was imported before it, "
                f"from {where}: import rl_eval first, or rename yours"
            )
    if _Ours not in sys.meta_path:
        sys.meta_path.insert(0, _Ours)


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a process that runs one of our modules as its main one."""
    return [sys.executable, "-P", str(Path(__file__).resolve()), module, *arguments]


def search_path() -> str:
    """PYTHONPATH for a child that is to find the modules that this process finds."""
    return os.pathsep.join(path or os.getcwd() for path in sys.path)


if __name__ == "__main__":
    prefer_ours()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
