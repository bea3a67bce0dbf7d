"""The host loop: chunks of iterations, divergence, records, progress."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.config import RunConfig, to_dict
from rl_eval.envs.registry import make_env
from rl_eval.metrics import MemberMetrics
from rl_eval.ppo.learner import Optimizer, make_learner
from rl_eval.ppo.networks import make_network
from rl_eval.ppo.population import Population, make_population
from rl_eval.ppo.state import TrainState, traced
from rl_eval.provenance import provenance
from rl_eval.records import RunDirectory, RunExistsError, Status
from rl_eval.settings import SettingsError
from rl_eval.types import Environment

MAX_CHUNK = 64  # iterations between two looks of the host; a shorter chunk does not recompile
CHUNK_SECONDS = 1.0  # so that Ctrl-C is heard and the display lives


@dataclasses.dataclass(frozen=True)
class Result:
    """How one seed's run ended. `final_return`: mean full-game return of the last 10 %."""

    run_dir: str
    status: Status
    seed: int
    env_steps: int
    gradient_steps: int
    final_return: float | None
    sps: float
    compile_s: float
    diverged_at: int | None


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a display may show after a chunk. Returns and losses are means over members."""

    env_steps: int
    total_env_steps: int
    sps: float
    episode_return: float | None
    loss: float | None
    eta_s: float


def run_directories(config: RunConfig, out: Path) -> list[Path]:
    """`out` itself for one seed, a sub-directory a seed for several."""
    if len(config.seeds) == 1:
        return [out]
    return [out / f"seed-{seed}" for seed in config.seeds]


def build(config: RunConfig, optimizer: Optimizer) -> tuple[Environment, Population]:
    """The environment pool and the population that a configuration describes.

    Raises:
        ValueError: the parts do not fit together.
    """
    env = make_env(
        config.env.id,
        num_envs=config.ppo.num_envs,
        seeds=config.seeds,
        path=config.env.path,
        atari=config.env.atari,
    )
    network = make_network(config.network, env.observation, env.num_actions)
    learner = make_learner(network, optimizer, config.ppo, config.num_iterations)
    return env, make_population(env, network, learner, config.ppo, MAX_CHUNK)


def start(config: RunConfig, population: Population, numbers: dict[str, float]) -> TrainState:
    """The first state; `numbers` are the optimizer's traced hyperparameters."""
    one = traced(config.hparams, numbers)
    members = len(config.seeds)
    stacked = jax.tree.map(lambda x: jnp.broadcast_to(x, (members,)), one)
    return population.init(config.seeds, stacked)


def train(
    config: RunConfig,
    optimizer: Optimizer,
    numbers: dict[str, float],
    out: Path,
    facts: Mapping[str, Any],
    show: Callable[[Progress], None] = lambda progress: None,
) -> list[Result]:
    """Train every seed of `config` as one population and record each in its own directory.

    `facts` go into the record as they are, beside what the machine and the code say.

    Raises:
        RunExistsError: a directory is taken; nothing is written then.
        SettingsError: the parts of the configuration do not fit together; likewise.
    """
    directories = [RunDirectory(path) for path in run_directories(config, out)]
    for taken in (d.path for d in directories if d.path.exists() and any(d.path.iterdir())):
        raise RunExistsError(str(taken))
    try:
        env, population = build(config, optimizer)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    path = {"env_path": env.path, "env_path_reason": env.path_reason}
    facts = {**provenance(), **path, **facts}
    for directory, seed in zip(directories, config.seeds, strict=True):
        directory.create(to_dict(dataclasses.replace(config, seeds=(seed,))), facts)
    try:
        return _train(config, population, start(config, population, numbers), directories, show)
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        for directory in directories:
            directory.set_status("failed", reason)
        raise


def _train(
    config: RunConfig,
    population: Population,
    state: TrainState,
    directories: list[RunDirectory],
    show: Callable[[Progress], None],
) -> list[Result]:
    begun = time.perf_counter()
    state = jax.block_until_ready(population.warm_up(state))
    compile_s = time.perf_counter() - begun
    members = [MemberMetrics(config, i, directory) for i, directory in enumerate(directories)]
    done, wall_s, chunk = 0, 0.0, 1
    while done < config.num_iterations and not all(m.diverged for m in members):
        n = min(chunk, config.num_iterations - done)
        begun = time.perf_counter()
        state, rows = population.run(state, n)
        rows = jax.tree.map(np.asarray, rows)
        seconds = time.perf_counter() - begun
        for member in members:
            member.add(rows, n, wall_s, wall_s + seconds)
        done, wall_s = done + n, wall_s + seconds
        chunk = int(np.clip(n * CHUNK_SECONDS / seconds, 1, min(2 * n, MAX_CHUNK)))
        show(_progress(config, members, done, wall_s))
    return [
        _finish(config, member, compile_s, wall_s, done, seed)
        for member, seed in zip(members, config.seeds, strict=True)
    ]


def _progress(
    config: RunConfig, members: list[MemberMetrics], done: int, wall_s: float
) -> Progress:
    def mean(values: list[float | None]) -> float | None:
        present = [v for v in values if v is not None]
        return float(np.mean(present)) if present else None

    steps = done * config.ppo.batch_size
    return Progress(
        env_steps=steps,
        total_env_steps=config.num_iterations * config.ppo.batch_size,
        sps=steps * len(members) / wall_s,
        episode_return=mean([m.latest_return for m in members]),
        loss=mean([m.latest_loss for m in members]),
        eta_s=wall_s / done * (config.num_iterations - done),
    )


def _finish(
    config: RunConfig,
    member: MemberMetrics,
    compile_s: float,
    wall_s: float,
    iterations: int,
    seed: int,
) -> Result:
    status: Status = "diverged" if member.diverged else "completed"
    env_steps = iterations * config.ppo.batch_size
    result = Result(
        run_dir=str(member.directory.path),
        status=status,
        seed=seed,
        env_steps=env_steps,
        gradient_steps=member.gradient_steps,
        final_return=member.final_return(),
        sps=env_steps * len(config.seeds) / wall_s,
        compile_s=compile_s,
        diverged_at=member.diverged_at if member.diverged else None,
    )
    reason = f"non-finite or runaway at gradient step {member.diverged_at}"
    facts = dataclasses.asdict(result)
    del facts["status"]
    member.directory.set_status(status, reason if member.diverged else None, **facts)
    return result
