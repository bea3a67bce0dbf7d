"""From a space and the base configuration of each environment and optimizer to trials.

A trial is a full `RunConfig`; its id is the hash of that configuration without its seeds, so that
the same trial has the same directory on any machine and more seeds can be added to it:

    SWEEP/sweep.json                     what is planned (`rl_eval.records.sweep`)
    SWEEP/trials/<id>/seed-<n>/          one run (`rl_eval.records`)

Static values that do not fit each other (num_minibatches must divide num_envs * num_steps) are
refused before anything runs, whether or not this design would have drawn them: mapping them to
values that fit would change the design without saying so.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizers import registry
from optimizers.spec import Choice, LogUniform, Uniform
from rl_eval.config import RunConfig, config_id, to_dict
from rl_eval.records.run import INTERRUPTED, SCHEMA, RecordError, read_object
from rl_eval.records.scored import lost_its_score
from rl_eval.records.sweep import AxisRecord, PlannedTrial, Pruning, Scale, SweepRecord
from rl_eval.settings import SettingsError, merge, read
from sweeps.execution.work import Ending
from sweeps.space.designs import Design, draw
from sweeps.space.domains import LATEST, Integers, Rules
from sweeps.space.space import Axis, Space

MAX_STATIC_COMBINATIONS = 10_000
SHORT_ID, LONG_ID = 8, 16  # digits of a trial's id by the rules 1 and 2 of a plan
ENDED = frozenset({"completed", "diverged", "pruned"})


@dataclasses.dataclass(frozen=True)
class Trial:
    """One point of the space: its configuration, with the seeds of the sweep."""

    config: RunConfig
    values: Mapping[str, Any]
    """What varies, by `Axis.key`."""
    digits: int = SHORT_ID

    @property
    def id(self) -> str:
        return trial_id(self.config, self.digits)


def trial_id(config: RunConfig, digits: int = SHORT_ID) -> str:
    """Hexadecimal digits, equal for configurations that differ only in their seeds.

    Of a million trials two share 8 digits almost surely, and 16 with a chance of 3e-8.
    """
    return config_id(dataclasses.replace(config, seeds=(0,)), digits)


def plan(
    space: Space,
    bases: Sequence[RunConfig],
    *,
    seed: int,
    design: Design | None = None,
    trials: int | None = None,
    rules: Rules = LATEST,
) -> list[Trial]:
    """The trials of a sweep, each configuration once.

    Args:
        space: what varies.
        bases: a resolved configuration per environment and optimizer, for all that does not vary.
        seed: of the design.
        design: instead of the space's own.
        trials: per base, instead of the space's own number.
        rules: by which values are drawn and trials are named, see `sweeps.space.domains`.

    Raises:
        SettingsError: a combination of values that is no configuration.
    """
    planned: dict[str, Trial] = {}
    kind = design or space.design
    for base in bases:
        axes = space.axes(base.optimizer.name)
        check_static(base, axes)
        count = trials if trials is not None or kind == "grid" else space.trials
        domains = [axis.domain for axis in axes]
        options: Any = {"trials": count, "seed": seed, "points": space.points, "rules": rules}
        for point in draw(kind, domains, **options):
            trial = make_trial(base, axes, point)
            if rules > 1:
                trial = dataclasses.replace(trial, digits=LONG_ID)
            if planned.setdefault(trial.id, trial).config != trial.config:
                raise SettingsError(f"two trials share the id {trial.id}; choose another seed")
    return list(planned.values())


def make_trial(base: RunConfig, axes: Sequence[Axis], point: Sequence[Any]) -> Trial:
    """The configuration at one point.

    Raises:
        SettingsError: the values do not fit the rest of the configuration.
    """
    values = to_dict(base)
    for axis, value in zip(axes, point, strict=True):
        section = {"hyperparameters": {axis.name: value}}
        inner = section if axis.section == "optimizer" else {axis.name: value}
        values = merge(values, {axis.section: inner})
    settings = values["optimizer"]
    try:
        resolved = registry.get(settings["name"]).resolve(settings["hyperparameters"])
    except ValueError as error:
        raise SettingsError(str(error)) from None
    settings["hyperparameters"] = resolved
    source = f"{base.env.id} {base.optimizer.name}"
    chosen = {axis.key: _at(values, axis) for axis in axes}
    return Trial(read(RunConfig, values, source), chosen)


def _at(values: Mapping[str, Any], axis: Axis) -> Any:
    section = values[axis.section]
    return (section["hyperparameters"] if axis.section == "optimizer" else section)[axis.name]


def check_static(base: RunConfig, axes: Sequence[Axis]) -> None:
    """Every combination of PPO's static values must be a configuration.

    Raises:
        SettingsError: the first that is not, with its values.
    """
    static = [axis for axis in axes if axis.section == "ppo"]
    listed = [_values(axis) for axis in static]
    combinations = math.prod(map(len, listed))
    if combinations > MAX_STATIC_COMBINATIONS:
        raise SettingsError(
            f"{combinations} combinations of static values, each compiled on its own; "
            f"at most {MAX_STATIC_COMBINATIONS}"
        )
    for combination in itertools.product(*listed):
        changes = dict(zip((axis.name for axis in static), combination, strict=True))
        try:
            ppo = dataclasses.replace(base.ppo, **changes)
            ppo.check_minibatches()
            dataclasses.replace(base, ppo=ppo)
        except ValueError as error:
            given = ", ".join(f"{name}={value}" for name, value in changes.items())
            raise SettingsError(f"{base.env.id}: the space allows {given}: {error}") from None


def _values(axis: Axis) -> Sequence[Any]:
    if isinstance(axis.domain, Integers):
        return range(axis.domain.low, axis.domain.high + 1)
    assert isinstance(axis.domain, Choice)  # a space lists what is static
    return axis.domain.values


def static_signature(config: RunConfig) -> str:
    """Equal for configurations that share one compilation.

    Seeds and traced values are left out: a population carries them as arrays.
    """
    spec = registry.get(config.optimizer.name)
    static, traced = spec.split(config.optimizer.hyperparameters)
    values = {**to_dict(config), "hparams": None, "seeds": None}
    values["optimizer"] = {"name": config.optimizer.name, "static": static, "traced": [*traced]}
    return json.dumps(values, sort_keys=True)


def run_directory(sweep: Path, trial: str, seed: int) -> Path:
    """Where one seed of a trial is recorded."""
    return sweep / "trials" / trial / f"seed-{seed}"


def remaining(
    trials: Iterable[Trial],
    seeds: Iterable[int],
    sweep: Path,
    ended: frozenset[str] = ENDED | {"failed"},
) -> list[tuple[Trial, int]]:
    """What is planned and has not ended, by each run's status.json.

    `ended=ENDED` includes runs that failed, to try them again. A run without a readable status,
    or one that was killed while running or asked to stop, has not ended.
    """

    def has_ended(trial: Trial, seed: int) -> bool:
        found = recorded_ending(run_directory(sweep, trial.id, seed))
        return found is not None and found[0] in ended

    seeds = tuple(seeds)
    return [(t, s) for t in trials for s in seeds if not has_ended(t, s)]


def recorded_ending(directory: Path) -> tuple[Ending, str | None, float | None] | None:
    """How the run in a directory ended, why, and its score; None if it has not."""
    try:
        facts = read_object(directory / "status.json")
    except RecordError:
        return None
    status, reason = facts.get("status"), facts.get("reason")
    if status not in ENDED | {"failed"} or str(reason).startswith(INTERRUPTED):
        return None
    scores = () if lost_its_score(facts) else (facts.get("eval_return"), facts.get("final_return"))
    return status, reason, next((s for s in scores if isinstance(s, (int, float))), None)


def sweep_record(
    space: Space,
    trials: Sequence[Trial],
    *,
    seeds: Sequence[int],
    design: Design,
    design_seed: int,
    preset: str | None = None,
    commands: Sequence[str] = (),
    pruning: Pruning | None = None,
    points: int | None = None,
) -> SweepRecord:
    """What sweep.json says of a sweep."""
    return SweepRecord(
        schema=SCHEMA,
        preset=preset,
        description=space.description,
        design=design,
        design_seed=design_seed,
        seeds=tuple(seeds),
        axes={name: tuple(map(_axis_record, space.axes(name))) for name in space.own},
        planned=tuple(
            PlannedTrial(t.id, t.config.env.id, t.config.optimizer.name, dict(t.values))
            for t in trials
        ),
        commands=tuple(commands),
        pruning=pruning,
        points=points,
        learning_rates=dict(space.learning_rates),
    )


def _axis_record(axis: Axis) -> AxisRecord:
    domain = axis.domain
    if isinstance(domain, Choice):
        return AxisRecord(axis.key, axis.name, "choice", values=domain.values, help=axis.help)
    kinds: dict[type, Scale] = {LogUniform: "log", Uniform: "linear", Integers: "integer"}
    ends = float(domain.low), float(domain.high)
    return AxisRecord(axis.key, axis.name, kinds[type(domain)], *ends, help=axis.help)
