"""Environments by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Literal

from jaxtyping import Array, Int

from rl_eval.envs import ale, envpool, gymnasium, gymnax, own, probes
from rl_eval.envs.base import Layout
from rl_eval.envs.described import Described, Family, Kwargs, Open
from rl_eval.envs.formulas import LANDSCAPES
from rl_eval.envs.protocols import CLASSIC, AtariOptions
from rl_eval.errors import cause
from rl_eval.prng import Purpose
from rl_eval.settings import closest
from rl_eval.types import Environment

Path = Literal["auto", "xla", "host"]

_registered: dict[str, Described] = {}

# Cheap ones first: the last two import their simulators.
_LISTS: dict[str, Callable[[], tuple[str, ...]]] = {
    "registered": lambda: tuple(_registered),
    "gymnax": lambda: gymnax.CLASSIC + gymnax.MINATAR,
    "probe": lambda: tuple(probes.PROBES),
    "formula": lambda: tuple(LANDSCAPES),
    "envpool": envpool.game_ids,
    "ale": ale.ale_ids,
}


def make_env(
    env: str | Described,
    *,
    num_envs: int,
    seeds: Sequence[int | Int[Array, ""]] = (0,),
    purpose: Purpose = Purpose.ENV,
    index: int | Int[Array, ""] = 0,
    path: Path = "auto",
    atari: AtariOptions | None = None,
    kwargs: Kwargs | None = None,
) -> Environment:
    """A pool of `len(seeds) * num_envs` environments, [member, env] row-major. Close it at the end.

    Args:
        env: its name or description: a listed environment, or any other of Gymnasium's;
            `gymnasium:CartPole-v1` is Gymnasium's own where gymnax has one of that name.
        num_envs: environments per member.
        seeds: one per member.
        purpose, index: what the pool is for, and which of several for that; every pair has random
            streams of its own.
        path: how an envpool game is stepped: inside the jitted rollout, from the host, or
            whichever a self-test says works here. Other backends have one path only.
        atari: None is the `classic` protocol; for Atari games only.
        kwargs: arguments of the environment's constructor.

    Raises:
        ValueError: an unknown environment (near names are listed), or a setting it does not have.
    """
    described = describe(env) if isinstance(env, str) else env
    layout = Layout(num_envs, tuple(seeds), purpose, index)
    if atari is not None and described.family != "atari":
        raise ValueError(f"'{described.id}' is not an Atari game; it takes no Atari options")
    pool = _opened(described, layout, path, atari or CLASSIC, kwargs or {})
    if path != "auto" and (path == "xla") != pool.jittable:
        only = "inside jit (path xla)" if pool.jittable else "from the host (path host)"
        pool.close()
        raise ValueError(f"'{described.id}' can be stepped {only} only, got path '{path}'")
    return pool


def register_env(env_id: str, env: Any, family: Family = "other") -> None:
    """Make an environment of your own available by name in this process.

    Args:
        env: a gymnax environment, or a class or function that makes one when it is called with
            the environment's arguments; or a class or function that makes Gymnasium ones.
        family: whose default network and hyperparameters it takes.

    Raises:
        ValueError: the name is taken, or `env` is none.
    """
    _register(own.own(env_id, env, family))


def register_pool(env_id: str, factory: Callable[[Layout], Environment], family: Family) -> None:
    """Make `factory(layout)`, which opens a whole pool, available as `env_id`.

    Where it is jittable and rewindable, evaluations make and reset it inside jit.

    Raises:
        ValueError: the name is taken.
    """

    def opened(layout: Layout, kwargs: Kwargs) -> Environment:
        _refuse(env_id, kwargs)
        return factory(layout)

    _register(Described(env_id, "registered", family, opened, jittable=None))


def register_from(module: ModuleType, env_id: str) -> None:
    """Make `env_id`, which reads `module:name`, available from a module that was imported.

    `name` is what the module registered here or with Gymnasium, or an environment in it.

    Raises:
        ValueError: the module has no such environment.
    """
    name = env_id.rpartition(":")[2]
    if name in _registered:
        described = _registered[name]
        found: Described | None = Described(
            env_id, described.backend, described.family, described.open, described.jittable
        )
    else:
        found = own.named_in(module, env_id, name)
    if found is None:
        there = [key for key in vars(module) if not key.startswith("_")]
        close = closest(name, [*gymnasium.ids(), *_registered, *there])
        hint = f"; {close}" if close else ""
        raise ValueError(
            f"unknown environment '{env_id}': '{name}' was neither registered by "
            f"{module.__name__} nor is it a name in it{hint}"
        )
    _registered[env_id] = found


def env_ids() -> dict[str, tuple[str, ...]]:
    """Every listed environment, by backend. Gymnasium's other ids are accepted besides."""
    groups = {backend: ids() for backend, ids in _LISTS.items()}
    return {backend: ids for backend, ids in groups.items() if ids}


def describe(env_id: str) -> Described:
    """What is known of an environment before a pool of it is open.

    Raises:
        ValueError: an unknown environment (near names are listed), or one whose module cannot be
            imported.
    """
    module = env_id.rpartition(":")[0]
    if module not in ("", "gymnasium") and env_id not in _registered:
        register_from(_imported(env_id, module), env_id)
    for backend, ids in _LISTS.items():
        if env_id in ids():
            return _described(env_id, backend)
    if gymnasium.knows(env_id):
        return _described(env_id, "gymnasium")
    names = [name for ids in env_ids().values() for name in ids]
    hint = f"; {close}" if (close := closest(env_id, names)) else ""
    raise ValueError(
        f"unknown environment '{env_id}'{hint} (`rl-eval envs` lists all; your own: module:id)"
    )


def _register(described: Described) -> None:
    if any(described.id in ids for ids in env_ids().values()):
        raise ValueError(f"environment '{described.id}' exists already")
    _registered[described.id] = described


def _imported(env_id: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ValueError(
            f"environment '{env_id}': importing {module} failed: {cause(error)}"
        ) from error


def _described(env_id: str, backend: str) -> Described:
    match backend:
        case "registered":
            return _registered[env_id]
        case "gymnax":
            family: Family = "minatar" if env_id in gymnax.MINATAR else "classic"
            return Described(env_id, backend, family, _gymnax(env_id), jittable=True)
        case "probe":
            return Described(env_id, backend, "probe", _probe(env_id), jittable=True)
        case "formula":
            return Described(env_id, backend, "probe")
        case "envpool" | "ale":
            return Described(env_id, backend, "atari")
        case _:
            classic = env_id.removeprefix("gymnasium:") in gymnax.CLASSIC
            opened = functools.partial(_gymnasium, env_id)
            return Described(env_id, backend, "classic" if classic else "other", opened)


def _gymnax(env_id: str) -> Open:
    def opened(layout: Layout, kwargs: Kwargs) -> Environment:
        return gymnax.GymnaxEnv(env_id, layout, simulator=gymnax.builtin(env_id, kwargs))

    return opened


def _probe(env_id: str) -> Open:
    def opened(layout: Layout, kwargs: Kwargs) -> Environment:
        _refuse(env_id, kwargs)
        return probes.ProbeEnv(env_id, layout)

    return opened


def _gymnasium(env_id: str, layout: Layout, kwargs: Kwargs) -> Environment:
    return gymnasium.GymnasiumEnv(env_id, layout, kwargs=kwargs)


def _refuse(env_id: str, kwargs: Kwargs) -> None:
    if kwargs:
        raise ValueError(f"'{env_id}' takes no arguments, got {', '.join(kwargs)}")


def _opened(
    described: Described, layout: Layout, path: Path, options: AtariOptions, kwargs: Kwargs
) -> Environment:
    if described.open is not None:
        return described.open(layout, kwargs)
    if described.backend == "formula":
        raise ValueError(
            f"'{described.id}' is a formula in place of training; `rl-eval sweep` evaluates it"
        )
    if kwargs:
        raise ValueError(
            f"'{described.id}' takes no arguments but the options of env.atari, such as "
            f"--set frame_skip=4; got {', '.join(kwargs)}"
        )
    if described.backend == "ale":
        return ale.AleEnv(described.id, layout, options)
    return envpool.make_atari(described.id, layout, options, path)
