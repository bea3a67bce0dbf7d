"""From a tier and an optimizer to the configuration of every run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from optimizers.spec import OptimizerSpec
from rl_eval.config import RunConfig, Setting
from rl_eval.gate import protocol
from rl_eval.gate.baseline import Scores
from rl_eval.gate.protocol import Task
from rl_eval.settings import SettingsError, parse_assignment
from rl_eval.setup.configure import resolve
from rl_eval.setup.weights import with_weights
from sweeps.gate.contender import inherited


@dataclasses.dataclass(frozen=True)
class Planned:
    """A unit of a tier before it was run; see `rl_eval.gate.baseline.Unit`."""

    name: str
    config: RunConfig
    given: Mapping[str, Setting]


def plan(
    optimizer: str,
    tasks: Sequence[Task],
    assignments: Sequence[str],
    rates: Sequence[float] = (),
    rate_name: str | None = None,
) -> list[Planned]:
    """Every environment, at every learning rate where some are given.

    `rate_name`: what the optimizer calls it, if neither learning_rate nor lr.

    Raises:
        SettingsError: what `resolve` says of the configuration.
        WeightsError: the optimizer's cannot be had.
    """
    planned, name_of_rate = [], rate_name or "learning_rate"
    for task in tasks:
        for rate in rates or (None,):
            more = [] if rate is None else [f"optimizer.{name_of_rate}={rate!r}"]
            config, spec = _config(optimizer, task, [*assignments, *more])
            name = task.env if rate is None else f"{task.env} at {rate:g}"
            planned.append(Planned(name, config, _given(config, spec)))
    return planned


def plan_again(
    optimizer: str, assignments: Sequence[str], recorded: Scores
) -> tuple[list[Planned], set[str]]:
    """The recorded units with another optimizer, and the recorded settings that it lacks.

    All but the optimizer is as it was recorded, whatever the defaults are by now.

    Raises:
        SettingsError: what is assigned differs from the recorded in more than the optimizer; the
            first key that does is named.
    """
    planned, lacking = [], set()
    for unit in recorded.units:
        given, lacks = inherited(optimizer, unit.given)
        lacking |= set(lacks)
        texts = [f"optimizer.{key}={json.dumps(value)}" for key, value in given.items()]
        task = Task(unit.config.env.id, unit.config.total_timesteps)
        config, spec = _config(optimizer, task, [*texts, *assignments])
        keys = [parse_assignment(text)[0] for text in assignments]
        difference = protocol.first_difference(config, unit.config, keys)
        if protocol.scale(config.env.id) != unit.scale:
            difference = f"scale is {unit.scale} in the baseline, {protocol.scale(config.env.id)}"
        if difference:
            raise SettingsError(
                f"another protocol or budget: of {unit.name}, {difference}; record the baseline "
                "again, or check as it was recorded"
            )
        config = dataclasses.replace(unit.config, optimizer=config.optimizer)
        planned.append(Planned(unit.name, config, _given(config, spec)))
    return planned, lacking


def _config(
    optimizer: str, task: Task, assignments: Sequence[str]
) -> tuple[RunConfig, OptimizerSpec]:
    """Evaluated once, on whole games, after the last iteration."""
    steps = [] if task.total_timesteps is None else [f"total_timesteps={task.total_timesteps}"]
    config, spec = resolve(
        env=task.env,
        optimizer=optimizer,
        flags={},
        assignments=[*steps, *task.settings, *assignments],
    )
    config = with_weights(config, spec, None)[0]
    last = dataclasses.replace(config.evaluation, every=config.total_timesteps)
    return dataclasses.replace(config, evaluation=last), spec


def _given(config: RunConfig, spec: OptimizerSpec) -> dict[str, Any]:
    defaults = spec.resolve({})
    settings = config.optimizer.hyperparameters
    return {key: value for key, value in settings.items() if value != defaults[key]}
