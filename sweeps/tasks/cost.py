"""What each optimizer of a comparison costs: a short run of each, alone on the machine."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rl_eval.envs.formulas import LANDSCAPES
from sweeps.execution.work import Ending, Event, Executor, Item, Run, Tell
from sweeps.trials import Trial, static_signature

TASK = "sweeps.tasks.cost:make"
ITERATIONS = 32  # of PPO, at most: enough for a speed, little beside the run that is reported


def make() -> Run:
    """What a worker does; it compiles anew, so that the time of it is not that of a cache."""
    import jax

    from sweeps.tasks import trial

    jax.config.update("jax_enable_compilation_cache", False)
    run = trial.make(cost=True)

    def measured(
        values: Mapping[str, Any], directory: Path, tell: Tell
    ) -> tuple[Ending, str | None, float | None]:
        shutil.rmtree(directory, ignore_errors=True)  # a resumed run has no clean time
        return run(values, directory, tell)

    return measured


def cost_items(out: Path, trials: Iterable[Trial], seed: int) -> list[Item]:
    """What has not been measured yet. A formula costs nothing."""
    todo = []
    for trial in trials:
        config, folder = trial.config, out / "cost" / trial.id
        if config.env.id in LANDSCAPES or (folder / "cost.json").is_file():
            continue
        short = dataclasses.replace(
            config,
            total_timesteps=min(config.total_timesteps, ITERATIONS * config.ppo.batch_size),
            evaluation=dataclasses.replace(config.evaluation, every=None),
            seeds=(seed,),
        )
        todo.append(Item(trial.id, short, folder, static_signature(short)))
    return todo


def one_by_one(executor: Executor) -> Executor:
    """The same, with a fresh worker for each item and nothing beside it."""

    def execute(items: Sequence[Item]) -> Generator[Event, None, None]:
        for item in items:
            with closing(executor([item])) as events:
                yield from events

    return execute
