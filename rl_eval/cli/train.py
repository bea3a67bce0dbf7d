"""`rl-eval train`: one optimizer, one environment, one or more seeds."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from optimizers import registry
from optimizers.spec import OptimizerSpec
from rl_eval.cli.outcome import report
from rl_eval.config import RunConfig, config_id
from rl_eval.reading import read_population
from rl_eval.records.removal import remove_run
from rl_eval.records.run import RecordError, RunExistsError
from rl_eval.run import sinks
from rl_eval.run.display import live
from rl_eval.settings import SettingsError, parse_assignment
from rl_eval.setup.configure import resolve
from rl_eval.setup.modules import found_again
from rl_eval.setup.weights import recorded_weights, with_weights
from rl_eval.terminal import Console


@dataclasses.dataclass(frozen=True)
class Train:
    """Train PPO with an optimizer and record the run."""

    env: str | None = None
    """Environment id (`rl-eval envs` lists them), or module:id of your own."""
    env_kwargs: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """name=value: an argument of the environment's constructor; repeatable."""
    optimizer: str | None = None
    """Registered name or module:attribute (default adamw); `rl-eval optimizers` lists them."""
    total_timesteps: float | None = None
    """Env steps per seed; Atari frames are 4 or 5 times as many. 1e6 is fine."""
    seeds: str | None = None
    """Comma-separated, trained together as one population. Default 0."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """key=value: any hyperparameter of the optimizer, PPO or the network; repeatable."""
    config: Path | None = None
    """TOML, YAML or JSON file; RUN/config.json repeats that run."""
    protocol: Literal["classic", "machado", "dopamine"] | None = None
    """Atari protocol."""
    env_path: Literal["auto", "xla", "host"] | None = None
    """How envpool is stepped: inside the jitted rollout or from the host."""
    out: Path | None = None
    """Run directory. Default runs/<env>-<optimizer>-<id>."""
    resume: Path | None = None
    """Go on with the run in this directory, to its planned end."""
    eval_every: float | None = None
    """Env steps between evaluations on whole games. Default: none."""
    eval_episodes: int | None = None
    """Games per evaluation. Default 128, on Atari 32."""
    checkpoint_seconds: float | None = None
    """Default: as often as takes 2 % of the time."""
    log: str | None = None
    """Also write records to tensorboard, wandb or both: tensorboard,wandb."""
    cost: bool = True
    """Time the optimizer alone at the end, for cost.json."""
    overwrite: bool = False
    """Delete the run that is in the way."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Train) -> int:
    """Exit code of the command."""
    console = Console(stderr=args.json)
    if args.resume is not None:
        return _resume(args, args.resume, console)
    config, spec = configure(args)
    sinks.check(log_to(args))
    config, used = with_weights(config, spec, recorded_weights(args.config))
    out = args.out or Path("runs") / default_name(config)
    from rl_eval.run import runner

    if args.overwrite:
        _remove(out, config)
    static, numbers = spec.split(spec.resolve(config.optimizer.hyperparameters))
    facts = {"rerun": rerun_command(out, config), "weights": used and dataclasses.asdict(used)}
    with _options(args, config, console) as options:
        try:
            results = runner.train(config, handle(spec, static), numbers, out, facts, options)
        except RunExistsError as error:
            raise SettingsError(
                f"{error} holds a run already: `rl-eval train --resume {out}` goes on with it; "
                "give another --out for a new one, or --overwrite to replace it"
            ) from None
    return report(console, config, out, results, as_json=args.json)


def _resume(args: Train, out: Path, console: Console) -> int:
    """Go on with a run, or say how it ended if it has."""
    allowed = {"resume", "json", "checkpoint_seconds", "log", "cost"}
    for field in dataclasses.fields(Train):
        if field.name not in allowed and getattr(args, field.name) != field.default:
            flag = "--" + field.name.replace("_", "-")
            raise SettingsError(f"{flag} cannot go with --resume: a run keeps its configuration")
    sinks.check(log_to(args))
    runs = read_population(out)
    config = dataclasses.replace(runs[0].config, seeds=tuple(run.config.seeds[0] for run in runs))
    found_again(config)
    try:
        spec = registry.get(config.optimizer.name)
        settings = spec.resolve(config.optimizer.hyperparameters)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    with_weights(config, spec, runs[0].provenance.get("weights"))
    from rl_eval.run import runner

    static, numbers = spec.split(settings)
    results = runner.recorded_results(runs)
    if results is None:
        with _options(args, config, console) as options:
            results = runner.resume(config, handle(spec, static), numbers, out, options)
    else:
        console.print(f"{out} has ended; there is nothing left to do", highlight=False)
    return report(console, config, out, results, as_json=args.json)


@contextmanager
def _options(args: Train, config: RunConfig, console: Console) -> Iterator[Any]:
    """What the runner is told beside the configuration, with a live display."""
    from rl_eval.run.runner import Options

    def notify(message: str) -> None:
        console.print(message, highlight=False, soft_wrap=True)

    with live(console, f"{config.env.id} {config.optimizer.name}") as show:
        yield Options(args.checkpoint_seconds, log_to(args), args.cost, show, notify)


def log_to(args: Train) -> tuple[str, ...]:
    """Names of the sinks asked for."""
    return tuple(name.strip() for name in args.log.split(",")) if args.log else ()


def configure(args: Train) -> tuple[RunConfig, OptimizerSpec]:
    """The resolved configuration of a command line."""
    flags: dict[str, Any] = {}
    if args.total_timesteps is not None:
        flags["total_timesteps"] = args.total_timesteps
    if args.seeds is not None:
        flags["seeds"] = parse_seeds(args.seeds)
    path = {"path": args.env_path} if args.env_path is not None else {}
    kwargs = dict(parse_assignment(text, "--env-kwargs") for text in args.env_kwargs)
    flags["env"] = {**path, **({"kwargs": kwargs} if kwargs else {})}
    evaluation = {"every": args.eval_every, "episodes": args.eval_episodes}
    flags["evaluation"] = {k: v for k, v in evaluation.items() if v is not None}
    return resolve(
        env=args.env,
        optimizer=args.optimizer,
        flags=flags,
        assignments=args.set,
        file=args.config,
        atari_protocol=args.protocol,
    )


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` as integers."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"--seeds {text}: expected integers such as 0,1,2") from None


def handle(spec: OptimizerSpec, static: dict[str, Any]) -> Any:
    """What the learner is told of a spec whose static settings are fixed."""
    from rl_eval.ppo.learner import Optimizer

    def make(num_steps: int, numbers: dict[str, Any]) -> Any:
        return spec.build(num_steps, **static, **numbers)

    return Optimizer(make, frozenset(spec.needs), spec.eval_params)


def default_name(config: RunConfig) -> str:
    """<env>-<optimizer>-<id>, safe as a directory name."""
    name = f"{config.env.id}-{config.optimizer.name}"
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return f"{safe}-{config_id(config)}"


def rerun_command(out: Path, config: RunConfig) -> str:
    """The command that repeats a run from its own record."""
    file = out / "config.json" if len(config.seeds) == 1 else out / "seed-N" / "config.json"
    return shlex.join(["rl-eval", "train", "--config", str(file), "--out", "NEW_DIR"])


def _remove(out: Path, config: RunConfig) -> None:
    """Delete run directories only: nothing that this program did not write."""
    from rl_eval.run.runner import run_directories

    for directory in run_directories(config, out):
        try:
            remove_run(directory)
        except RecordError as error:
            raise SettingsError(f"--overwrite: {error}") from None
