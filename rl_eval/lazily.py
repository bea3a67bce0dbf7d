"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from rl_eval.packages import prefer_ours


def lazily(package: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package. `where`: the module of each of its public names."""

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        prefer_ours()  # whoever asks may stand in a folder with an `optimizers/` of its own
        return getattr(importlib.import_module(where[name]), name)

    return get
