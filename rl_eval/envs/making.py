"""Calling what makes a user's environment, and telling what is wrong with the arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rl_eval.envs.described import Kwargs
from rl_eval.errors import cause


def called(
    env_id: str, make: Callable[..., Any], kwargs: Kwargs, signature: Any | None = None
) -> Any:
    """What a class or function makes.

    `signature`: has the arguments to tell of, where `make` passes them on.

    Raises:
        ValueError: it raises.
    """
    try:
        return make(**kwargs)
    except Exception as error:
        root = error.__cause__ or error  # Gymnasium repeats a TypeError in longer words
        hint = _arguments(signature or make) if isinstance(error, TypeError) else ""
        raise ValueError(f"'{env_id}' cannot be made: {cause(root)}{hint}") from error


def _arguments(make: Any) -> str:
    try:
        names = [name for name in inspect.signature(make).parameters if name != "render_mode"]
    except (TypeError, ValueError):
        return ""
    if not names:
        return "; it takes no arguments"
    return f"; its arguments are {', '.join(names)}: --env-kwargs {names[0]}=..., or env.kwargs"
