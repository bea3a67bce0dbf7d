"""`rl-eval train`: one optimizer, one environment, one or more seeds."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from optimizers import weights
from optimizers.spec import OptimizerSpec
from rl_eval.cli.configure import resolve
from rl_eval.cli.display import live
from rl_eval.cli.exits import DIVERGED, DONE
from rl_eval.config import RunConfig, config_id
from rl_eval.records import RunExistsError
from rl_eval.settings import SettingsError


@dataclasses.dataclass(frozen=True)
class Train:
    """Train PPO with an optimizer and record the run."""

    env: str | None = None
    """Environment id; `rl-eval envs` lists them."""
    optimizer: str | None = None
    """Registered name or module:attribute (default adamw); `rl-eval optimizers` lists them."""
    total_timesteps: float | None = None
    """Env steps per seed; Atari frames are 4 times as many. 1e6 is fine."""
    seeds: str | None = None
    """Comma-separated, trained together as one population. Default 0."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """key=value: any hyperparameter of the optimizer, PPO or the network; repeatable."""
    config: Path | None = None
    """TOML, YAML or JSON file; RUN/config.json repeats that run."""
    protocol: Literal["classic", "machado"] | None = None
    """Atari protocol."""
    env_path: Literal["auto", "xla", "host"] | None = None
    """How envpool is stepped: inside the jitted rollout or from the host."""
    out: Path | None = None
    """Run directory. Default runs/<env>-<optimizer>-<id>."""
    overwrite: bool = False
    """Delete the run that is in the way."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Train) -> int:
    """Exit code of the command."""
    config, spec = configure(args)
    out = args.out or Path("runs") / default_name(config)
    from rl_eval import runner  # jax starts here, after all that can be wrong was checked

    if args.overwrite:
        _remove(out, config)
    console = Console(stderr=args.json)
    static, numbers = spec.split(spec.resolve(config.optimizer.hyperparameters))
    facts = {
        "rerun": rerun_command(out, config),
        "weights": weights_used(spec, config.optimizer.hyperparameters),
    }
    title = f"{config.env.id} {config.optimizer.name}"
    with live(console, title) as show:
        try:
            results = runner.train(config, handle(spec, static), numbers, out, facts, show)
        except RunExistsError as error:
            raise SettingsError(
                f"{error} holds a run already: give another --out, or --overwrite to replace it"
            ) from None
    _table(console, config, results)
    if args.json:
        print(json.dumps(summary(config, out, results), allow_nan=False))
    return DIVERGED if any(r.status == "diverged" for r in results) else DONE


def configure(args: Train) -> tuple[RunConfig, OptimizerSpec]:
    """The resolved configuration of a command line."""
    flags: dict[str, Any] = {}
    if args.total_timesteps is not None:
        flags["total_timesteps"] = args.total_timesteps
    if args.seeds is not None:
        flags["seeds"] = parse_seeds(args.seeds)
    if args.env_path is not None:
        flags["env"] = {"path": args.env_path}
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

    return Optimizer(make, frozenset(spec.needs))


def weights_used(spec: OptimizerSpec, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Source and checksum of a learned rule's weights; None for rules that have none.

    Raises:
        WeightsError: they cannot be had, said before anything is written.
    """
    if "weights" not in settings or spec.name not in weights.TEMPLATES:
        return None
    return dataclasses.asdict(weights.resolve(settings["weights"], spec.name)[1])


def default_name(config: RunConfig) -> str:
    """<env>-<optimizer>-<id>, safe as a directory name."""
    name = f"{config.env.id}-{config.optimizer.name}"
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return f"{safe}-{config_id(config)}"


def rerun_command(out: Path, config: RunConfig) -> str:
    """The command that repeats a run from its own record."""
    file = out / "config.json" if len(config.seeds) == 1 else out / "seed-N" / "config.json"
    return shlex.join(["rl-eval", "train", "--config", str(file), "--out", "NEW_DIR"])


def summary(config: RunConfig, out: Path, results: list[Any]) -> dict[str, Any]:
    """The object that --json prints; several seeds are averaged and listed."""
    returns = [r.final_return for r in results if r.final_return is not None]
    worst = next((r.status for r in results if r.status != "completed"), "completed")
    document: dict[str, Any] = {
        "run_dir": str(out),
        "status": worst,
        "env": config.env.id,
        "optimizer": config.optimizer.name,
        "env_steps": max(r.env_steps for r in results),
        "gradient_steps": max(r.gradient_steps for r in results),
        "final_return": sum(returns) / len(returns) if returns else None,
        "sps": results[0].sps,
        "compile_s": results[0].compile_s,
    }
    if len(results) == 1:
        return {**document, "seed": results[0].seed}
    runs = [dataclasses.asdict(r) for r in results]
    return {**document, "seeds": [r.seed for r in results], "runs": runs}


def _table(console: Console, config: RunConfig, results: list[Any]) -> None:
    table = Table(title=f"{config.env.id}, {config.optimizer.name}")
    columns = ("seed", "status", "env steps", "gradient steps", "final return", "run directory")
    for column in columns:
        table.add_column(column, justify="left" if "dir" in column else "right", overflow="fold")
    for r in results:
        final = "no game ended" if r.final_return is None else f"{r.final_return:.2f}"
        status = r.status if r.diverged_at is None else f"diverged at step {r.diverged_at}"
        counts = (f"{r.env_steps:,}", f"{r.gradient_steps:,}")
        table.add_row(str(r.seed), status, *counts, final, r.run_dir)
    console.print(table)
    first = results[0]
    console.print(f"{first.sps:,.0f} env steps/s, compiled in {first.compile_s:.1f} s")


def _remove(out: Path, config: RunConfig) -> None:
    """Delete run directories only: nothing that this program did not write."""
    from rl_eval.runner import run_directories

    for directory in run_directories(config, out):
        if directory.exists():
            if not (directory / "config.json").is_file():
                raise SettingsError(f"--overwrite: {directory} is not a run directory")
            shutil.rmtree(directory)
