"""`rl-eval sweep`: how returns depend on hyperparameters, for one or many optimizers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich import box
from rich.table import Table

from rl_eval.cli.exits import DIVERGED, DONE, FAILED
from rl_eval.cli.workers import Flags, typed
from rl_eval.records.table import Row
from rl_eval.settings import parse_assignment
from rl_eval.terminal import Console
from sweeps.study import Study, best_of
from sweeps.sweeping import sweep

COUNTED = ("completed", "diverged", "pruned", "failed")


@dataclasses.dataclass(frozen=True)
class Sweep(Flags):
    """Run PPO at many points of a hyperparameter space; a killed sweep goes on with --resume."""

    preset: str | None = None
    """A space that ships with the project: sensitivity (the default), learning-rate, or
    celo2-paper, that of the Celo2 paper's Figure 6."""
    space: Path | None = None
    """A space of your own, in YAML."""
    env: str | None = None
    """Environments, separated by commas."""
    optimizers: str = "adamw"
    """Registered names or module:attribute, separated by commas."""
    trials: int | None = None
    """Points per environment and optimizer; with --resume, to add some."""
    seeds: str | None = None
    """How many (3 is 0,1,2), or which, separated by commas (default 0); with --resume, to add."""
    design: Literal["sobol", "random", "grid", "lhs", "latin-hypercube"] | None = None
    """Instead of the space's own."""
    design_seed: int = 0
    """Another one gives other points."""
    learning_rate_name: str | None = None
    """The hyperparameter that is the learning rate, of optimizers that call it neither
    learning_rate nor lr."""
    total_timesteps: float | None = None
    """Env steps per run."""
    env_kwargs: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """name=value: an argument of the environment's constructor; repeatable."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """key=value for what does not vary, NAME.key=value for one optimizer; repeatable."""
    prune: Literal["asha"] | None = None
    """For tuning: a run that is not among the best third at 1/9 or 1/3 of the env steps stops
    there. What is left says little of sensitivity; the report says that it was so."""
    eval_every: float | None = None
    """Env steps between evaluations. Default: none; the return is that of the last training."""
    eval_episodes: int | None = None
    """Games per evaluation. Default 128, on Atari 32."""
    out: Path | None = None
    """Directory. Default sweeps/<preset or file>-<time>."""
    resume: Path | None = None
    """Go on with the sweep in this directory; its configuration holds."""
    trust_code: bool = False
    """Import what the sweep that goes on names as module:attribute."""
    retry_failed: bool = False
    """With --resume: run what failed once more."""
    population: str = "auto"
    """Members trained together by a worker: a number, or auto: as many as are measured fastest."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Sweep) -> int:
    """Exit code: 1 if a run failed, 3 if every run diverged, else 0."""
    console = Console(stderr=args.json)
    study = sweep(
        args.env,
        optimizers=args.optimizers,
        preset=args.preset,
        space=args.space,
        trials=args.trials,
        seeds=args.seeds,
        design="latin-hypercube" if args.design == "lhs" else args.design,
        design_seed=args.design_seed,
        learning_rate_name=args.learning_rate_name,
        total_timesteps=args.total_timesteps,
        settings=dict(map(parse_assignment, args.set)),
        env_kwargs=dict(parse_assignment(text, "--env-kwargs") for text in args.env_kwargs),
        prune=args.prune,
        eval_every=args.eval_every,
        eval_episodes=args.eval_episodes,
        out=args.out,
        resume=args.resume,
        retry_failed=args.retry_failed,
        trust_code=args.trust_code,
        population=args.population,
        workers=args.workers,
        cpus=args.cpus,
        gpus=args.gpus,
        patience=args.patience,
        progress=console,
        command=typed(),
    )
    return _report(console, study, as_json=args.json)


def _report(console: Console, study: Study, *, as_json: bool) -> int:
    """The table of a sweep, from its records, and its exit code."""
    table, out = study.records, study.path
    shown = Table(title=str(out), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    counted = [s for s in COUNTED if s != "pruned" or table.sweep.pruning]
    columns = ("env", "optimizer", "runs", *counted, "best", "trial")
    for column in columns:
        named = column in ("env", "optimizer")
        side: Any = "left" if named else "right"
        shown.add_column(column, justify=side, overflow="fold", no_wrap=not named)
    groups = []
    for env in table.envs:
        for optimizer in table.optimizers:
            rows = table.groups[env, optimizer]
            groups.append(_group(env, optimizer, rows))
    for group in groups:
        best = "-" if group["best"] is None else f"{group['best']:.2f}"
        counts = [f"{group[name]:,}" for name in ("runs", *counted)]
        shown.add_row(group["env"], group["optimizer"], *counts, best, group["trial"] or "-")
    console.print(shown)
    console.print(f"rl-eval report {out} draws it", highlight=False, soft_wrap=True)
    total = {name: sum(group[name] for group in groups) for name in ("runs", *COUNTED)}
    if total["failed"]:
        again = f"rl-eval sweep --resume {out} --retry-failed runs what failed once more"
        console.print(again, highlight=False, soft_wrap=True)
    if as_json:
        summary = {"sweep_dir": str(out), **total, "groups": groups}
        print(json.dumps(summary, allow_nan=False))
    if total["failed"]:
        return FAILED
    return DIVERGED if total["diverged"] == total["runs"] else DONE


def _group(env: str, optimizer: str, rows: Sequence[Row]) -> dict[str, Any]:
    """`best` is the mean over seeds of the best trial none of whose seeds diverged."""
    best = best_of(rows)
    counts = {s: sum(row.count(s) for row in rows) for s in COUNTED}
    runs = sum(len(row.seeds) for row in rows)
    return {
        "env": env,
        "optimizer": optimizer,
        "runs": runs,
        **counts,
        "best": best and best.objective,
        "trial": best and best.id,
    }
