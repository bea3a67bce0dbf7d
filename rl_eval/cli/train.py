"""`rl-eval train`: one optimizer, one environment, one or more seeds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_eval.cli.outcome import report
from rl_eval.settings import parse_assignment
from rl_eval.terminal import Console


@dataclasses.dataclass(frozen=True)
class Train:
    """Train PPO with an optimizer and record the run."""

    env: str | None = None
    """Environment id; `rl-eval envs` lists them."""
    optimizer: str | None = None
    """Registered name or module:attribute (default adamw); `rl-eval optimizers` lists them."""
    total_timesteps: float | None = None
    """Env steps per seed; Atari frames are 4 or 5 times as many. 1e6 is fine."""
    seeds: str | None = None
    """How many (3 is 0,1,2) or which, separated by commas; trained together. Default 0."""
    env_kwargs: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """name=value: an argument of the environment's constructor; repeatable."""
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
    """Go on with the run in this directory, to its planned end; its configuration holds."""
    eval_every: float | None = None
    """Env steps between evaluations on whole games. Default: none."""
    eval_episodes: int | None = None
    """Games per evaluation. Default 128, on Atari 32."""
    checkpoint_seconds: float | None = None
    """Default: as often as takes 2 % of the time."""
    log: str | None = None
    """Also write records to tensorboard, wandb or both: tensorboard,wandb."""
    trust_code: bool = False
    """Import what --config or --resume names as module:attribute."""
    cost: bool = True
    """Time the optimizer alone at the end, for cost.json."""
    overwrite: bool = False
    """Delete the run that is in the way."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Train) -> int:
    """Exit code of the command."""
    console = Console(stderr=args.json)
    from rl_eval.setup.training import train  # jax starts here

    trained = train(
        args.env,
        optimizer=args.optimizer,
        settings=dict(map(parse_assignment, args.set)),
        env_kwargs=dict(parse_assignment(text, "--env-kwargs") for text in args.env_kwargs),
        seeds=args.seeds,
        total_timesteps=args.total_timesteps,
        config=args.config,
        protocol=args.protocol,
        env_path=args.env_path,
        eval_every=args.eval_every,
        eval_episodes=args.eval_episodes,
        out=args.out,
        resume=args.resume,
        overwrite=args.overwrite,
        checkpoint_seconds=args.checkpoint_seconds,
        log=args.log or (),
        cost=args.cost,
        trust_code=args.trust_code,
        progress=console,
    )
    return report(console, trained, as_json=args.json)
