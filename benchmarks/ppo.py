"""Env steps per second of whole PPO iterations, with episode statistics and metrics.

    python benchmarks/ppo.py --env Breakout-MinAtar Breakout-v5 --optimizers adamw celo2-base

Each cell trains through the same population as `rl-eval train`; compilation is timed apart.
Numbers from a busy machine mean nothing: the load is printed with the table.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import statistics
import time

import jax
import tyro
from rich.console import Console
from rich.table import Table

from rl_eval.config import alone
from rl_eval.run.build import build, start
from rl_eval.setup.configure import resolve
from rl_eval.setup.optimizer import Prepared, prepare


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What to time."""

    env: tuple[str, ...] = ("Breakout-MinAtar", "SpaceInvaders-MinAtar", "Breakout-v5")
    optimizers: tuple[str, ...] = ("adamw",)
    set: tuple[str, ...] = ()
    """key=value, as for `rl-eval train`."""
    repeats: int = 5
    seconds: float = 3.0
    """About how long a repeat runs."""


def measure(run: Prepared, args: Benchmark) -> tuple[list[float], float]:
    """Steps per second of each repeat, and compile seconds."""
    config, optimizer = run.config, run.optimizer
    built = build(config, optimizer)
    population, state = built.population, start(alone(config), built, optimizer)
    begun = time.perf_counter()
    state = jax.block_until_ready(population.warm_up(state))
    compile_s = time.perf_counter() - begun
    begun = time.perf_counter()
    state, _ = jax.block_until_ready(population.run(state, 1))
    n = max(1, min(64, round(args.seconds / (time.perf_counter() - begun))))
    rates = []
    for _ in range(args.repeats):
        begun = time.perf_counter()
        state, _ = jax.block_until_ready(population.run(state, n))
        rates.append(n * config.ppo.batch_size / (time.perf_counter() - begun))
    return rates, compile_s


def main(args: Benchmark) -> None:
    """Print one row per environment and optimizer."""
    table = Table("env", "optimizer", "steps/s median", "min .. max", "compile s", "peak RSS MB")
    for env in args.env:
        for name in args.optimizers:
            config, _ = resolve(env=env, optimizer=name, flags={}, assignments=args.set)
            rates, compile_s = measure(prepare(config), args)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            spread = f"{min(rates):,.0f} .. {max(rates):,.0f}"
            median = f"{statistics.median(rates):,.0f}"
            table.add_row(env, name, median, spread, f"{compile_s:.1f}", f"{peak:,}")
    console = Console()
    console.print(table)
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    console.print(f"load average {load}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}")


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
