"""`rl-eval compare`: several optimizers in several environments, on the same seeds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro

from rl_eval.cli.compare_outcome import report
from rl_eval.cli.workers import Flags, typed
from rl_eval.settings import SettingsError, parse_assignment
from rl_eval.terminal import Console
from sweeps.comparing import compare


@dataclasses.dataclass(frozen=True)
class Compare(Flags):
    """Compare optimizers on the same seeds, and write one page about it; --resume goes on."""

    env: str | None = None
    """Environments, separated by commas."""
    suite: str | None = None
    """A named set of them: minatar-4, atari-5, atari-26, ..."""
    optimizers: str | None = None
    """Two or more registered names or module:attribute, separated by commas."""
    baseline: str | None = None
    """What the others are held against. Default adamw, or else the first."""
    seeds: str | None = None
    """How many (5 is 0,1,2,3,4, the default), or which; with --resume, to add some."""
    total_timesteps: float | None = None
    """Env steps per run."""
    tune: str | None = None
    """Hyperparameters to tune first: learning_rate (or lr), on other seeds than are reported."""
    tuning_seeds: int | None = None
    """Runs per value while tuning. Default 3."""
    learning_rate_name: str | None = None
    """The hyperparameter that is the learning rate, of optimizers that call it neither
    learning_rate nor lr."""
    env_kwargs: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """name=value: an argument of the environment's constructor; repeatable."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """key=value for all optimizers, NAME.key=value for one; repeatable."""
    eval_every: float | None = None
    """Env steps between evaluations. Default a tenth of the run."""
    eval_episodes: int | None = None
    """Games per evaluation. Default 128, on Atari 32."""
    out: Path | None = None
    """Directory. Default comparisons/<time>."""
    resume: Path | None = None
    """Go on with the comparison in this directory; other flags may be given again."""
    trust_code: bool = False
    """Import what the comparison that goes on names as module:attribute."""
    retry_failed: bool = False
    """With --resume: run what failed once more."""
    cost: bool = True
    """Measure what each optimizer costs, after the runs."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Compare) -> int:
    """Exit code: 1 if a run failed, 3 if every run diverged, else 0."""
    console = Console(stderr=args.json)
    if args.env is not None and args.suite is not None:
        raise SettingsError("give one of --env and --suite (`rl-eval envs` lists them)")
    compared = compare(
        args.env or args.suite,
        optimizers=args.optimizers,
        baseline=args.baseline,
        seeds=args.seeds,
        total_timesteps=args.total_timesteps,
        tune=args.tune,
        tuning_seeds=args.tuning_seeds,
        learning_rate_name=args.learning_rate_name,
        settings=dict(map(parse_assignment, args.set)),
        env_kwargs=dict(parse_assignment(text, "--env-kwargs") for text in args.env_kwargs),
        eval_every=args.eval_every,
        eval_episodes=args.eval_episodes,
        out=args.out,
        resume=args.resume,
        retry_failed=args.retry_failed,
        trust_code=args.trust_code,
        cost=args.cost,
        workers=args.workers,
        cpus=args.cpus,
        gpus=args.gpus,
        patience=args.patience,
        progress=console,
        command=typed(),
    )
    code, summary = report(compared, console)
    if args.json:
        print(json.dumps(summary, allow_nan=False))
    return code
