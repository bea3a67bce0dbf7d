"""`rl-eval compare`: several optimizers in several environments, on the same seeds."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from rl_eval.cli.compare_outcome import report
from rl_eval.cli.sweep import fitting, refuse_taken, seeds_of
from rl_eval.config import RunConfig, to_dict
from rl_eval.envs.suites import suite
from rl_eval.errors import MachineError
from rl_eval.records.comparison import FILE, CompareRecord, read_compare, write_compare
from rl_eval.records.lock import locked
from rl_eval.records.run import SCHEMA
from rl_eval.run.stop import Terminated
from rl_eval.settings import SettingsError, read
from rl_eval.setup.configure import resolve
from rl_eval.setup.modules import found_again
from rl_eval.setup.weights import with_weights
from rl_eval.terminal import Console
from sweeps import executor
from sweeps.comparison.plan import check_alike, configurations, evaluated, make_tuning
from sweeps.comparison.run import Means, run_all

SEEDS = (0, 1, 2, 3, 4)
TUNING_SEEDS = 3


@dataclasses.dataclass(frozen=True)
class Compare(executor.Flags):
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
    """name=value: an argument of the environments' constructor; repeatable."""
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
    retry_failed: bool = False
    """With --resume: run what failed once more."""
    cost: bool = True
    """Measure what each optimizer costs, after the runs."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Compare) -> int:
    """Exit code: 1 if a run failed, 3 if every run diverged, else 0."""
    console = Console(stderr=args.json)
    means = Means(executor.parse(args.workers, args.cpus, args.gpus), args.patience)
    if args.resume is not None:
        out = args.resume
        if not out.is_dir():
            raise SettingsError(f"--resume {out}: there is no such directory")
        with locked(out):
            _run(args, out, _extended(args, out), means, console)
            return _report(args, out, console)
    record = describe(args)
    out = args.out or Path("comparisons") / time.strftime("%Y%m%d-%H%M%S")
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        refuse_taken(out, FILE, "compare")
        write_compare(out, record)
        _run(args, out, record, means, console)
        return _report(args, out, console)


def _run(args: Compare, out: Path, record: CompareRecord, means: Means, console: Console) -> None:
    console.print(str(out), highlight=False, soft_wrap=True)
    try:
        run_all(out, record, means, console, retry_failed=args.retry_failed, cost=args.cost)
    except (KeyboardInterrupt, Terminated, MachineError, OSError):
        console.print(f"rl-eval compare --resume {out} goes on", highlight=False, soft_wrap=True)
        raise


def _report(args: Compare, out: Path, console: Console) -> int:
    code, summary = report(out, console)
    if args.json:
        print(json.dumps(summary, allow_nan=False))
    return code


def describe(args: Compare) -> CompareRecord:
    """All that decides the runs, from the command line.

    Raises:
        SettingsError: anything wrong with it, in one line.
    """
    envs = _envs(args)
    given = (name.strip() for name in (args.optimizers or "").split(","))
    optimizers = tuple(dict.fromkeys(given))
    if len(optimizers) < 2 or "" in optimizers:
        raise SettingsError("a comparison needs two: give --optimizers NAME,NAME")
    baseline = args.baseline or ("adamw" if "adamw" in optimizers else optimizers[0])
    if baseline not in optimizers:
        raise SettingsError(f"--baseline {baseline} is not one of --optimizers {args.optimizers}")
    seeds = seeds_of(args.seeds) or SEEDS
    bases: list[RunConfig] = []
    for env in envs:
        found = [_base(args, env, name, optimizers) for name in optimizers]
        check_alike(found)
        bases += found
    tuning = None
    if args.tune is not None:
        count = TUNING_SEEDS if args.tuning_seeds is None else args.tuning_seeds
        tuning = make_tuning(args.tune, optimizers, seeds, count, args.learning_rate_name)
    elif args.tuning_seeds is not None:
        raise SettingsError("--tuning-seeds goes with --tune")
    return CompareRecord(
        schema=SCHEMA,
        suite=args.suite,
        envs=envs,
        optimizers=optimizers,
        baseline=baseline,
        seeds=seeds,
        tuning=tuning,
        bases=tuple(map(to_dict, bases)),
        commands=(_command(),),
    )


def _envs(args: Compare) -> tuple[str, ...]:
    if (args.env is None) == (args.suite is None):
        raise SettingsError("give one of --env and --suite (`rl-eval envs` lists them)")
    try:
        return suite(args.env or args.suite or "")
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _base(args: Compare, env: str, name: str, optimizers: tuple[str, ...]) -> RunConfig:
    """An optimizer's configuration in an environment, its weights pinned."""
    evaluation = {"every": args.eval_every, "episodes": args.eval_episodes}
    flags: dict[str, Any] = {
        "evaluation": {k: v for k, v in evaluation.items() if v is not None},
        "seeds": [0],
    }
    if args.total_timesteps is not None:
        flags["total_timesteps"] = args.total_timesteps
    own = [
        *fitting(args.set, name, optimizers),
        *(f"env.kwargs.{text}" for text in args.env_kwargs),
    ]
    config, spec = resolve(env=env, optimizer=name, flags=flags, assignments=own)
    return with_weights(evaluated(config), spec, None)[0]


def _extended(args: Compare, out: Path) -> CompareRecord:
    """The record of a directory, with more seeds where asked for; written if changed."""
    old = read_compare(out)
    for _, _, base in configurations(old):
        found_again(base)
    _refuse_others(args, old)
    more = tuple(dict.fromkeys((*old.seeds, *(seeds_of(args.seeds) or ()))))
    if more == old.seeds:
        return old
    try:
        new = dataclasses.replace(old, seeds=more, commands=(*old.commands, _command()))
    except ValueError as error:
        raise SettingsError(f"--seeds {args.seeds}: {error}") from None
    write_compare(out, new)
    return new


def _refuse_others(args: Compare, old: CompareRecord) -> None:
    """A comparison keeps what it began with; saying it again does no harm."""
    may = {"resume", "seeds", "retry_failed", "cost", "json"}
    may |= {"workers", "cpus", "gpus", "patience"}
    given = [
        "--" + field.name.replace("_", "-")
        for field in dataclasses.fields(Compare)
        if field.name not in may and getattr(args, field.name) != field.default
    ]
    if not given:
        return
    try:
        said = dataclasses.replace(describe(args), seeds=old.seeds, commands=old.commands)
        new = read(CompareRecord, dataclasses.asdict(said), FILE)  # as it is read from a file
    except ValueError:
        new = None
    if new != old or "--out" in given:
        raise SettingsError(
            f"{', '.join(given)} cannot change with --resume: {args.resume} keeps what it began "
            "with; leave them out"
        )


def _command() -> str:
    return shlex.join(["rl-eval", *sys.argv[1:]])
