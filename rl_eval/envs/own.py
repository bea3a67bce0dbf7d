"""Environments of the user's own: an object, a class, or a function that makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from rl_eval.envs.base import Layout
from rl_eval.envs.described import Described, Family, Kwargs
from rl_eval.envs.gymnasium import GymnasiumEnv
from rl_eval.envs.gymnax import GymnaxEnv, Simulator, is_gymnax, with_params
from rl_eval.envs.making import called
from rl_eval.types import Environment


def own(env_id: str, found: Any, family: Family = "other") -> Described:
    """The description of a user's environment.

    Args:
        found: a gymnax environment, or a class or function that makes one when it is called with
            the environment's arguments; or a class or function that makes Gymnasium ones.

    Raises:
        ValueError: anything else.
    """
    if is_gymnax(found) and not isinstance(found, type):

        def fixed(layout: Layout, kwargs: Kwargs) -> Environment:
            return GymnaxEnv(env_id, layout, simulator=with_params(env_id, found, kwargs))

        return Described(env_id, "registered", family, fixed, jittable=True)
    if not callable(found) or _is_pool(found):
        raise ValueError(f"environment '{env_id}': {_not_one(found)}")
    jittable = is_gymnax(found) if isinstance(found, type) else None
    return Described(env_id, "registered", family, _Opener(env_id, found), jittable)


def named_in(module: ModuleType, env_id: str, name: str) -> Described | None:
    """What `name` means in a module that was imported: Gymnasium's id, or a name in the module."""
    import gymnasium

    if name in gymnasium.registry:

        def opened(layout: Layout, kwargs: Kwargs) -> Environment:
            return GymnasiumEnv(env_id, layout, kwargs=kwargs)

        return Described(env_id, "gymnasium", "other", opened)
    found = getattr(module, name, None)
    return None if found is None else own(env_id, found)


class _Opener:
    """Makes pools of what a class or function makes. One gymnax object serves all of its pools:
    what is compiled is compiled for the object."""

    def __init__(self, env_id: str, make: Callable[..., Any]) -> None:
        self._env_id, self._make = env_id, make
        self._simulators: dict[str, Simulator] = {}

    def __call__(self, layout: Layout, kwargs: Kwargs) -> Environment:
        key = json.dumps(dict(kwargs), sort_keys=True)
        if key in self._simulators:
            return GymnaxEnv(self._env_id, layout, simulator=self._simulators[key])
        first = called(self._env_id, self._make, kwargs)
        if is_gymnax(first):
            self._simulators[key] = first, first.default_params
            return GymnaxEnv(self._env_id, layout, simulator=self._simulators[key])
        return GymnasiumEnv(self._env_id, layout, make=self._more(first, kwargs))

    def _more(self, first: Any, kwargs: Kwargs) -> Callable[[], Any]:
        def each() -> Iterator[Any]:
            yield first
            while True:
                yield called(self._env_id, self._make, kwargs)

        return each().__next__


def _is_pool(found: Any) -> bool:
    return isinstance(found, Environment) and not isinstance(found, type)


def _not_one(found: Any) -> str:
    import gymnasium

    if isinstance(found, gymnasium.Env):
        kind = type(found).__name__
        return f"a pool needs several of them: give the class {kind}, or a function that makes one"
    if _is_pool(found):
        return "a pool of its own is registered by rl_eval.envs.registry.register_pool"
    return (
        f"{found!r} is none: expected a gymnax environment (with reset_env, step_env, "
        "is_truncated and default_params), a Gymnasium class, or a function that makes either"
    )
