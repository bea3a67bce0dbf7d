"""How a run ended, for people and for programs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rl_eval.cli.exits import DIVERGED, DONE
from rl_eval.config import RunConfig
from rl_eval.run.runner import recorded_results
from rl_eval.run.view import Run


def report(console: Console, run: Run, *, as_json: bool) -> int:
    """Show the table and, if asked for, the object; the exit code of the command."""
    results = recorded_results(run.members) or []
    _table(console, run.config, results)
    if as_json:
        print(json.dumps(summary(run.config, run.path, results), allow_nan=False))
    return DIVERGED if any(r.status == "diverged" for r in results) else DONE


def summary(config: RunConfig, out: Path, results: list[Any]) -> dict[str, Any]:
    """The object that --json prints; several seeds are averaged and listed."""
    worst = next((r.status for r in results if r.status != "completed"), "completed")
    document: dict[str, Any] = {
        "run_dir": str(out),
        "status": worst,
        "env": config.env.id,
        "optimizer": config.optimizer.name,
        "env_steps": max(r.env_steps for r in results),
        "gradient_steps": max(r.gradient_steps for r in results),
        "final_return": _mean([r.final_return for r in results]),
        "eval_return": _mean([r.eval_return for r in results]),
        "sps": results[0].sps,
        "compile_s": results[0].compile_s,
    }
    if len(results) == 1:
        return {**document, "seed": results[0].seed}
    runs = [dataclasses.asdict(r) for r in results]
    return {**document, "seeds": [r.seed for r in results], "runs": runs}


def _mean(values: list[float | None]) -> float | None:
    present = [v for v in values if v is not None]
    return sum(present) / len(present) if present else None


def _table(console: Console, config: RunConfig, results: list[Any]) -> None:
    table = Table(title=f"{config.env.id}, {config.optimizer.name}")
    columns = ("seed", "status", "env steps", "gradient steps", "final return", "run directory")
    for column in columns:
        table.add_column(column, justify="left" if "dir" in column else "right", overflow="fold")
    for r in results:
        final = "none" if r.final_return is None else f"{r.final_return:.2f}"
        status = r.status if r.diverged_at is None else f"diverged at step {r.diverged_at}"
        counts = (f"{r.env_steps:,}", f"{r.gradient_steps:,}")
        table.add_row(str(r.seed), status, *counts, final, r.run_dir)
    console.print(table)
    first = results[0]
    console.print(f"{first.sps:,.0f} env steps/s, compiled in {first.compile_s:.1f} s")
