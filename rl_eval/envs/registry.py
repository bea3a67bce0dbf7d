"""Environments by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Literal

from jaxtyping import Array, Int

from rl_eval.envs import ale, envpool, gymnasium, gymnax, probes
from rl_eval.envs.base import Layout
from rl_eval.envs.formulas import LANDSCAPES
from rl_eval.envs.protocols import CLASSIC, AtariOptions
from rl_eval.prng import Purpose
from rl_eval.types import Environment

Family = Literal["atari", "minatar", "classic", "probe", "other"]
Path = Literal["auto", "xla", "host"]
Factory = Callable[[Layout], Environment]

_registered: dict[str, tuple[Factory, Family]] = {}

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
    env_id: str,
    *,
    num_envs: int,
    seeds: Sequence[int | Int[Array, ""]] = (0,),
    purpose: Purpose = Purpose.ENV,
    index: int | Int[Array, ""] = 0,
    path: Path = "auto",
    atari: AtariOptions | None = None,
) -> Environment:
    """A pool of `len(seeds) * num_envs` environments, [member, env] row-major.

    Args:
        env_id: a listed environment, or any other of Gymnasium's; `gymnasium:CartPole-v1` is
            Gymnasium's own where gymnax has one of that name.
        num_envs: environments per member.
        seeds: one per member.
        purpose, index: what the pool is for, and which of several for that; every pair has random
            streams of its own.
        path: how an envpool game is stepped: inside the jitted rollout, from the host, or
            whichever a self-test says works here. Other backends have one path only.
        atari: None is the `classic` protocol; for Atari games only.

    Raises:
        ValueError: an unknown environment (near names are listed), or a setting it does not have.
    """
    layout = Layout(num_envs, tuple(seeds), purpose, index)
    if atari is not None and env_family(env_id) != "atari":
        raise ValueError(f"'{env_id}' is not an Atari game; it takes no Atari options")
    env = _make(env_id, layout, path, atari or CLASSIC)
    if path != "auto" and (path == "xla") != env.jittable:
        only = "inside jit (path xla)" if env.jittable else "from the host (path host)"
        raise ValueError(f"'{env_id}' can be stepped {only} only, got path '{path}'")
    return env


def register_env(env_id: str, factory: Factory, family: Family = "other") -> None:
    """Make `factory(layout)` available as `env_id`.

    Where it is jittable and rewindable, evaluations make and reset it inside jit.

    Raises:
        ValueError: the name is taken.
    """
    if any(env_id in ids for ids in env_ids().values()):
        raise ValueError(f"environment '{env_id}' exists already")
    _registered[env_id] = (factory, family)


def env_ids() -> dict[str, tuple[str, ...]]:
    """Every listed environment, by backend. Gymnasium's other ids are accepted besides."""
    groups = {backend: ids() for backend, ids in _LISTS.items()}
    return {backend: ids for backend, ids in groups.items() if ids}


def env_family(env_id: str) -> Family:
    """Decides default networks and hyperparameters. Raises ValueError for an unknown id."""
    backend = _backend(env_id)
    if backend == "registered":
        return _registered[env_id][1]
    if backend in ("probe", "formula"):
        return "probe"
    if backend in ("envpool", "ale"):
        return "atari"
    if env_id in gymnax.MINATAR:
        return "minatar"
    return "classic" if env_id.removeprefix("gymnasium:") in gymnax.CLASSIC else "other"


def _backend(env_id: str) -> str:
    for backend, ids in _LISTS.items():
        if env_id in ids():
            return backend
    if gymnasium.knows(env_id):
        return "gymnasium"
    names = [name for ids in env_ids().values() for name in ids]
    near = difflib.get_close_matches(env_id, names, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ValueError(f"unknown environment '{env_id}'{hint} (`rl-eval envs` lists all)")


def _make(env_id: str, layout: Layout, path: Path, options: AtariOptions) -> Environment:
    match _backend(env_id):
        case "registered":
            return _registered[env_id][0](layout)
        case "gymnax":
            return gymnax.GymnaxEnv(env_id, layout)
        case "probe":
            return probes.ProbeEnv(env_id, layout)
        case "formula":
            raise ValueError(
                f"'{env_id}' is a formula in place of training; `rl-eval sweep` evaluates it"
            )
        case "envpool":
            return envpool.make_atari(env_id, layout, options, path)
        case "ale":
            return ale.AleEnv(env_id, layout, options)
        case _:
            return gymnasium.GymnasiumEnv(env_id, layout)
