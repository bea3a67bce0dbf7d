"""From a command line to what a comparison runs: first what is tuned, then what is reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizers import registry
from optimizers.spec import LEARNING_RATES, OptimizerSpec
from rl_eval.config import EvaluationConfig, RunConfig
from rl_eval.records.comparison import CompareRecord, Tuning
from rl_eval.records.run import SCHEMA, RecordError
from rl_eval.records.sweep import read_sweep, write_sweep
from rl_eval.records.table import Row, read_table
from rl_eval.settings import SettingsError, near, read
from sweeps import plan
from sweeps.space.space import Axis, Space, make_space
from sweeps.trials import Trial, make_trial, sweep_record

EVALUATIONS = 10  # over a run, the last one after it
POINTS = 7  # of a tuning grid, over the whole domain of the optimizer's spec
FIRST_TUNING_SEED = 1000
TUNING_SOURCE = "--tune"


def evaluated(config: RunConfig) -> RunConfig:
    """`config` with evaluations, which a comparison needs, unless it has them."""
    if config.evaluation.every is not None:
        return config
    every = max(1, config.total_timesteps // EVALUATIONS)
    evaluation = dataclasses.replace(config.evaluation, every=every)
    return dataclasses.replace(config, evaluation=evaluation)


def check_alike(bases: Sequence[RunConfig]) -> None:
    """Optimizers may differ in hyperparameters, not in what their scores are measured by.

    Raises:
        SettingsError: they do.
    """
    for name in ("env", "total_timesteps", "evaluation", "diverged_score"):
        values = {repr(getattr(base, name)): base.optimizer.name for base in bases}
        if len(values) > 1:
            raise SettingsError(f"{name} must be the same for {' and '.join(values.values())}")


def make_tuning(
    names: str,
    optimizers: Sequence[str],
    seeds: Sequence[int],
    count: int,
    learning_rate_name: str | None = None,
) -> Tuning:
    """What `--tune NAMES` means: a grid, on seeds that are not reported.

    `learning_rate` and `lr` mean that of every optimizer that has one, whatever it is called;
    `learning_rate_name`: what else it may be called.

    Raises:
        SettingsError: no optimizer has such a hyperparameter, or no domain for it; no seeds.
    """
    rates = (*LEARNING_RATES, learning_rate_name)
    given = (name.strip() for name in names.split(","))
    wanted = tuple(dict.fromkeys(LEARNING_RATES[0] if n in rates else n for n in given))
    specs = {name: _tunable(registry.get(name), learning_rate_name) for name in optimizers}
    for name in wanted:
        if not any(name in known for known in specs.values()):
            raise SettingsError(f"--tune {name}: {near(name, set().union(*specs.values()))}")
    if count < 1:
        raise SettingsError(f"--tuning-seeds {count}: at least one is needed")
    having = tuple(name for name, known in specs.items() if known & set(wanted))
    other = (s for s in range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + count + len(seeds)))
    free = tuple(s for s in other if s not in seeds)[:count]
    tuning = Tuning(wanted, having, POINTS, free, learning_rate_name)
    tuned_space(tuning)  # its errors
    return tuning


def _tunable(spec: OptimizerSpec, learning_rate_name: str | None) -> set[str]:
    """Names by which its hyperparameters can be asked for."""
    known = {h.name for h in spec.hyperparameters}
    if spec.learning_rate is not None or learning_rate_name in known:
        known.add(LEARNING_RATES[0])
    return known


def tuned_space(tuning: Tuning) -> Space:
    """What varies while tuning."""
    return make_space(_space_values(tuning), tuning.optimizers, TUNING_SOURCE)


def _space_values(tuning: Tuning) -> dict[str, Any]:
    return {
        "description": f"Tuning of {', '.join(tuning.hyperparameters)}",
        "design": "grid",
        "points": tuning.points,
        "optimizer": dict.fromkeys(tuning.hyperparameters, "default"),
        "learning_rate_name": tuning.learning_rate_name,
    }


def tuning_plan(record: CompareRecord, tuning: Tuning) -> plan.Plan:
    """The sweep that tunes: scored by its last evaluation, so that there is one only."""
    return plan.Plan(
        schema=SCHEMA,
        preset=None,
        source=TUNING_SOURCE,
        space=_space_values(tuning),
        optimizers=tuning.optimizers,
        bases=tuple(
            _evaluated_once(base)
            for env, name, base in configurations(record)
            if name in tuning.optimizers
        ),
        design=None,
        design_seed=0,
        trials=None,
        seeds=tuning.seeds,
        commands=record.commands,
    )


def _evaluated_once(config: RunConfig) -> RunConfig:
    old = config.evaluation
    evaluation = EvaluationConfig(config.total_timesteps, old.episodes, old.policy)
    return dataclasses.replace(config, evaluation=evaluation)


def configurations(record: CompareRecord) -> Iterator[tuple[str, str, RunConfig]]:
    """Environment, optimizer and configuration before tuning."""
    for env in record.envs:
        for name in record.optimizers:
            yield env, name, read(RunConfig, record.base(env, name), f"{name} in {env}")


def reported_trials(out: Path, record: CompareRecord) -> list[Trial]:
    """The trials whose scores are reported, with the best values that tuning found.

    sweep.json fixes them when they are first asked for: tuning again does not change them.

    Raises:
        RecordError: nothing can be chosen from the records of tuning, or what was chosen earlier
            means other trials to this version.
    """
    tuning = record.tuning
    old = read_sweep(out) if (out / "sweep.json").is_file() else None
    own: dict[str, tuple[Axis, ...]] = dict.fromkeys(record.optimizers, ())
    chosen: Mapping[tuple[str, str], Mapping[str, Any]] = {}
    if tuning:
        own |= tuned_space(tuning).own
    if old:
        chosen = {(p.env, p.optimizer): p.values for p in old.planned}
    elif tuning:
        chosen = best_values(out / "tuning", record)
    trials = []
    for env, name, base in configurations(record):
        values, axes = chosen.get((env, name), {}), own[name]
        trials.append(make_trial(base, axes, [values[axis.key] for axis in axes]))
    if old and {p.id for p in old.planned} != {trial.id for trial in trials}:
        raise RecordError(
            f"{out}: this version plans other trials than those that are there; go on with the "
            "version that began the comparison"
        )
    new = sweep_record(
        Space((), own, description="The reported runs of a comparison"),
        trials,
        seeds=record.seeds,
        design="grid",
        design_seed=0,
        commands=record.commands,
    )
    if new != old:
        write_sweep(out, new)
    return trials


def best_values(folder: Path, record: CompareRecord) -> dict[tuple[str, str], dict[str, Any]]:
    """By environment and optimizer: the values of the trial with the best mean final score.

    Raises:
        RecordError: no trial has a score, or a seed of theirs is reported.
    """
    table = read_table(folder)
    if shared := set(table.sweep.seeds) & set(record.seeds):
        raise RecordError(f"{folder}: tuned on the seed {min(shared)}, which is to be reported")
    scored: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        found = scored.setdefault((row.env, row.optimizer), [])
        if row.objective is not None:
            found.append(row)
    for (env, optimizer), rows in scored.items():
        if not rows:
            raise RecordError(
                f"{folder}: no trial of {optimizer} in {env} has a score; their status.json says "
                "why, --retry-failed runs them again"
            )
    return {key: dict(max(rows, key=_objective).values) for key, rows in scored.items()}


def _objective(row: Row) -> float:
    assert row.objective is not None
    return row.objective
