"""A call in Python as text, for records of what began a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """`name(...)` with the arguments that were given: those that are not None or empty."""
    given = {k: v for k, v in arguments.items() if v not in (None, (), {}) and k != "progress"}
    return f"{name}({', '.join(f'{key}={_text(value)}' for key, value in given.items())})"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Callable) and not isinstance(value, Console):  # type: ignore[arg-type]
        return getattr(value, "__qualname__", type(value).__name__)
    return repr(str(value) if hasattr(value, "__fspath__") else value)


def flags_given(asked: Any, nothing: Any) -> str:
    """The fields of `asked` that are not those of `nothing`, as one types them."""
    names = [f.name for f in dataclasses.fields(asked)]
    differ = [name for name in names if getattr(asked, name) != getattr(nothing, name)]
    typed = {"settings": "set"}
    return ", ".join(f"--{typed.get(name, name).replace('_', '-')}" for name in differ)
