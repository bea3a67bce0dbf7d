"""Arguments that mean the same wherever they are taken: seeds, lists of names, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rl_eval.settings import SettingsError

Seeds = int | str | Sequence[int]
"""A count, or the seeds themselves; as text, `3` or `0,1,2`."""
Number = int | float


def seeds_of(given: Seeds) -> tuple[int, ...]:
    """Seeds of runs: 3 is 0, 1, 2; a list is itself.

    Raises:
        SettingsError: not integers, not distinct, or not at least one.
    """
    if isinstance(given, str):
        try:
            numbers = [int(part) for part in given.split(",")]
        except ValueError:
            raise SettingsError(
                f"--seeds {given}: expected how many, such as 3, or which, such as 0,1,2"
            ) from None
        given = numbers if "," in given else numbers[0]
    if isinstance(given, int):
        if given < 1:
            raise SettingsError(f"--seeds {given}: at least one is needed")
        return tuple(range(given))
    seeds = tuple(int(seed) for seed in given)
    if len(set(seeds)) < len(seeds) or not seeds:
        raise SettingsError(f"--seeds {','.join(map(str, seeds))}: expected distinct seeds")
    return seeds


def names_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names, as a list or separated by commas, each once.

    Raises:
        SettingsError: none, or an empty one.
    """
    parts = given.split(",") if isinstance(given, str) else given
    names = tuple(dict.fromkeys(name.strip() for name in parts))
    if not names or "" in names:
        raise SettingsError(f"{given}: expected names separated by commas")
    return names


def run_flags(
    total_timesteps: Number | None, eval_every: Number | None, eval_episodes: int | None
) -> dict[str, Any]:
    """A run's length and evaluations, as `configure.resolve` takes them; None: the default."""
    evaluation = {"every": eval_every, "episodes": eval_episodes}
    flags: dict[str, Any] = {"evaluation": {k: v for k, v in evaluation.items() if v is not None}}
    if total_timesteps is not None:
        flags["total_timesteps"] = total_timesteps
    return flags


def fitting(
    settings: Mapping[str, Any], optimizer: str, optimizers: Sequence[str]
) -> dict[str, Any]:
    """`NAME.key` is a setting of one optimizer of several, all else of every one of them."""
    found = {}
    for key, value in settings.items():
        owner = next((name for name in optimizers if key.startswith(f"{name}.")), None)
        if owner in (None, optimizer):
            found[key.removeprefix(f"{optimizer}.")] = value
    return found
