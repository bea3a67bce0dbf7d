"""`rl-eval sweep`: how returns depend on hyperparameters, for one or many optimizers."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich import box
from rich.table import Table

from rl_eval.cli.exits import DIVERGED, DONE, FAILED
from rl_eval.cli.train import parse_seeds
from rl_eval.errors import MachineError
from rl_eval.files import is_part
from rl_eval.records import lock
from rl_eval.records.lock import locked
from rl_eval.records.run import SCHEMA
from rl_eval.records.table import Row, read_table
from rl_eval.run.stop import Terminated
from rl_eval.settings import SettingsError
from rl_eval.setup.configure import resolve
from rl_eval.setup.weights import with_weights
from rl_eval.terminal import Console
from sweeps import executor
from sweeps.execution import execute
from sweeps.execution.display import live
from sweeps.executor import Processes, Tasks
from sweeps.plan import PLAN, Plan, extended, space_values, trials_of, write
from sweeps.space.designs import Design
from sweeps.space.space import make_space
from sweeps.tasks import population
from sweeps.tasks.asha import ASHA
from sweeps.trials import Trial

ONE_BY_ONE = "--prune stops members one by one: it needs --population 1"
COUNTED = ("completed", "diverged", "pruned", "failed")


@dataclasses.dataclass(frozen=True)
class Sweep(executor.Flags):
    """Run PPO at many points of a hyperparameter space; a killed sweep goes on with --resume."""

    preset: str | None = None
    """A space that ships with the project: sensitivity, learning-rate, celo2-paper."""
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
    """name=value: an argument of the environments' constructor; repeatable."""
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
    """Go on with the sweep in this directory."""
    retry_failed: bool = False
    """With --resume: run what failed once more."""
    population: str = "auto"
    """Members trained together by a worker: a number, or auto: as many as are measured fastest."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Sweep) -> int:
    """Exit code: 1 if a run failed, 3 if every run diverged, else 0."""
    console = Console(stderr=args.json)
    place = executor.parse(args.workers, args.cpus, args.gpus)
    asked = _population(args, place)
    if args.resume is not None:
        out = args.resume
        _refuse_others(args)
        if not out.is_dir():
            raise SettingsError(f"--resume {out}: there is no such directory")
        with locked(out):
            described, trials = extended(out, seeds_of(args.seeds), args.trials, _command())
            _run(args, out, described, trials, place, asked, console)
    else:
        described = _describe(args)
        trials = trials_of(described)
        out = args.out or Path("sweeps") / _name(args)
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):
            refuse_taken(out, "sweep.json", "sweep", beside=PLAN)
            write(out, described, trials)
            _run(args, out, described, trials, place, asked, console)
    return _report(console, out, as_json=args.json)


def refuse_taken(out: Path, file: str, command: str, beside: str | None = None) -> None:
    """A command begins in a directory of its own; `file` is in those where it has begun.

    Raises:
        SettingsError: there is more than a lock and the file `beside`.
    """
    if (out / file).exists():
        raise SettingsError(f"{out} is taken: `rl-eval {command} --resume {out}` goes on with it")
    names = [p.name for p in out.iterdir() if lock.NAME not in p.name and p.name != beside]
    if others := [name for name in names if not is_part(name)]:
        raise SettingsError(f"{out} is not empty, it has {sorted(others)[0]}; give another --out")


def _run(
    args: Sweep,
    out: Path,
    described: Plan,
    trials: Sequence[Trial],
    place: Processes | Tasks,
    asked: int | None,
    console: Console,
) -> None:
    """Everything that has not ended, with a live display.

    `asked`: members to train at once; None for as many as are fastest.
    """
    if described.pruning:
        if (asked or 1) > 1:
            raise SettingsError(ONE_BY_ONE)
        asked = 1
    todo = execute.items(trials, described.seeds, out, retry_failed=args.retry_failed)
    tally = execute.tally(trials, described.seeds, out, todo)
    signatures = len({item.signature for item in todo})
    console.print(
        f"{out}: {len(trials)} trials x {len(described.seeds)} seeds, {tally.ended} runs ended, "
        f"{len(todo)} to go, {signatures} to compile",
        highlight=False,
        soft_wrap=True,
    )
    if not todo:
        return

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    together, sentence = executor.members(place, asked, todo, out, args.patience)
    say(sentence)
    whole = "--prune needs the directory of the sweep on every node"
    must_share = whole if described.pruning else None
    run_on = executor.executor(place, out, args.patience, say, must_share, together)
    events = execute.execute(todo, run_on)
    try:
        with closing(events), live(console, tally) as show:
            for event in events:
                show(event)
    except (KeyboardInterrupt, Terminated, MachineError, OSError):
        console.print(f"rl-eval sweep --resume {out} goes on", highlight=False, soft_wrap=True)
        raise


def _describe(args: Sweep) -> Plan:
    """All that decides the trials, from the command line."""
    if args.env is None:
        raise SettingsError("no environment: give --env (`rl-eval envs` lists them)")
    values, source = space_values(args.preset, args.space)
    if args.learning_rate_name is not None:
        values = {**values, "learning_rate_name": args.learning_rate_name}
    optimizers = _listed(args.optimizers)
    make_space(values, optimizers, source)  # its errors before those of configurations
    evaluation = {"every": args.eval_every, "episodes": args.eval_episodes}
    flags: dict[str, Any] = {
        "evaluation": {k: v for k, v in evaluation.items() if v is not None},
        "seeds": [0],
    }
    if args.total_timesteps is not None:
        flags["total_timesteps"] = args.total_timesteps
    bases = []
    for env in _listed(args.env):
        for optimizer in optimizers:
            own = [
                *fitting(args.set, optimizer, optimizers),
                *(f"env.kwargs.{text}" for text in args.env_kwargs),
            ]
            config, spec = resolve(env=env, optimizer=optimizer, flags=flags, assignments=own)
            bases.append(with_weights(config, spec, None)[0])
    return Plan(
        schema=SCHEMA,
        preset=args.preset,
        source=source,
        space=values,
        optimizers=optimizers,
        bases=tuple(bases),
        design=_design(args.design),
        design_seed=args.design_seed,
        trials=args.trials,
        seeds=seeds_of(args.seeds) or (0,),
        commands=(_command(),),
        pruning=ASHA if args.prune else None,
    )


def fitting(assignments: Sequence[str], optimizer: str, optimizers: Sequence[str]) -> list[str]:
    """`NAME.key=value` is for one optimizer of the sweep, all else for every one of them."""
    found = []
    for text in assignments:
        owner = next((name for name in optimizers if text.startswith(f"{name}.")), None)
        if owner in (None, optimizer):
            found.append(text.removeprefix(f"{optimizer}."))
    return found


def seeds_of(text: str | None) -> tuple[int, ...] | None:
    """`3` is 0,1,2; a list is itself.

    Raises:
        SettingsError: not integers, or not at least one.
    """
    if text is None:
        return None
    seeds = parse_seeds(text)
    if "," not in text:
        if seeds[0] < 1:
            raise SettingsError(f"--seeds {text}: at least one is needed")
        return tuple(range(seeds[0]))
    return tuple(dict.fromkeys(seeds))


def _listed(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in names:
        raise SettingsError(f"{text}: expected names separated by commas")
    return names


def _population(args: Sweep, place: Processes | Tasks) -> int | None:
    """What `--population` asks for; members of one population go on to their ends together."""
    asked = population.parse(args.population)
    if (asked or 1) > 1:
        if isinstance(place, Tasks):
            raise SettingsError("--population is for local workers; a Ray task trains one member")
        if args.prune:
            raise SettingsError(ONE_BY_ONE)
    return asked


def _design(name: str | None) -> Design | None:
    return "latin-hypercube" if name == "lhs" else name  # type: ignore[return-value]


def _refuse_others(args: Sweep) -> None:
    """A sweep keeps what it began with."""
    may = {"resume", "trials", "seeds", "retry_failed", "population", "patience", "json"}
    may |= {"workers", "cpus", "gpus"}
    for field in dataclasses.fields(Sweep):
        if field.name not in may and getattr(args, field.name) != field.default:
            flag = "--" + field.name.replace("_", "-")
            raise SettingsError(f"{flag} cannot go with --resume: a sweep keeps its configuration")


def _name(args: Sweep) -> str:
    what = args.preset or (args.space.stem if args.space else "sweep")
    return f"{what}-{time.strftime('%Y%m%d-%H%M%S')}"


def _command() -> str:
    return shlex.join(["rl-eval", *sys.argv[1:]])


def _report(console: Console, out: Path, *, as_json: bool) -> int:
    """The table of a sweep, from its records, and its exit code."""
    table = read_table(out)
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
    scored = [
        (r.objective, r.id) for r in rows if r.objective is not None and not r.count("diverged")
    ]
    best, trial = max(scored, default=(None, None))
    counts = {s: sum(row.count(s) for row in rows) for s in COUNTED}
    runs = sum(len(row.seeds) for row in rows)
    return {
        "env": env,
        "optimizer": optimizer,
        "runs": runs,
        **counts,
        "best": best,
        "trial": trial,
    }
