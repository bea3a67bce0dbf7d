"""Which tiers, suites and seeds a command line asks for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from rl_eval.gate import protocol
from rl_eval.gate.finding import TIERS, Tier
from rl_eval.gate.protocol import Task
from rl_eval.settings import SettingsError, near
from rl_eval.setup import arguments
from rl_eval.stats.compare import MIN_RUNS


def tiers_of(text: str | None, suite: str | None) -> tuple[Tier, ...]:
    """The tiers asked for, cheapest first; a suite asks for the benchmark.

    Raises:
        SettingsError: an unknown one, or none.
    """
    asked = {"numerics", "probes"} if text is None else {part.strip() for part in text.split(",")}
    for name in sorted(asked - set(TIERS)):
        raise SettingsError(f"--tiers {text}: unknown tier '{name}'; {near(name, TIERS)}")
    if suite is not None:
        asked.add("benchmark")
    return tuple(tier for tier in TIERS if tier in asked)


def tasks_of(suite: str) -> tuple[Task, ...]:
    """The environments of the benchmark.

    Raises:
        SettingsError: unknown, or without the scores to normalise by.
    """
    try:
        return protocol.benchmark(suite)
    except ValueError as error:
        raise SettingsError(f"--suite {suite}: {error}") from None


def seeds_of(text: str) -> tuple[int, ...]:
    """`3` is 0,1,2; a list is itself.

    Raises:
        SettingsError: not integers, or too few to show their spread.
    """
    seeds = arguments.seeds_of(text)
    if len(seeds) < MIN_RUNS:
        raise SettingsError(f"--seeds {text}: at least {MIN_RUNS} different ones are needed")
    return seeds


def rates_of(text: str | None) -> tuple[float, ...]:
    """Learning rates, separated by commas.

    Raises:
        SettingsError: not positive numbers.
    """
    try:
        rates = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        rates = (-1.0,)
    if not all(rate > 0 for rate in rates):
        raise SettingsError(f"--learning-rates {text}: expected numbers such as 1e-4,1e-3")
    return tuple(dict.fromkeys(rates))


def command(argv: Sequence[str] | None = None) -> str:
    """This command, as one would type it."""
    return shlex.join(["rl-eval", *(sys.argv[1:] if argv is None else argv)])
