"""A sweep as studies of Optuna, one for each environment and optimizer, for its dashboard."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from rl_eval.errors import ExplainedError
from rl_eval.records.sweep import AxisRecord, Setting
from rl_eval.records.table import Row, Table
from rl_eval.report.ticks import labels
from rl_eval.stats.values import identity

MARK = "rl_eval_sweep"  # attribute of the studies that are from here, which may be replaced


class ExportError(ExplainedError):
    """The storage cannot be written to, or holds something else of that name."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """Names of the studies, and how many trials had not ended and were left out."""

    studies: tuple[str, ...]
    left_out: int


def export(table: Table, name: str, url: str) -> Exported:
    """Write studies `<name> <env> <optimizer>`; those of an earlier export are replaced.

    A trial's value is its objective, the mean over its seeds: COMPLETE; a diverged one counts at
    its stated score, and the attribute `diverged` says how many seeds did. Trials of which a seed
    was pruned are PRUNED, or failed FAIL, without a value. Intermediate values are the means of
    the seeds' curves, by env steps. Trials that have not ended are left out.

    Raises:
        ExportError: no storage at `url`, or a study of that name is not from here.
    """
    import optuna
    from optuna.storages import RDBStorage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = RDBStorage(url)
    except Exception as error:  # of SQLAlchemy, a driver that is missing, a file that is no file
        said = str(error).strip().partition("\n")[0]
        raise ExportError(f"no Optuna storage at {url}: {said}") from None
    studies, left_out = [], 0
    try:
        for env in table.envs:
            for optimizer in table.optimizers:
                rows = table.groups[env, optimizer]
                if not rows:
                    continue
                trials = [_trial(row, table.sweep.axes[optimizer]) for row in rows]
                ended = [trial for trial in trials if trial is not None]
                left_out += len(trials) - len(ended)
                studies.append(f"{name} {env} {optimizer}")
                _write(storage, studies[-1], name, ended)
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return Exported(tuple(studies), left_out)


def _write(storage: Any, study_name: str, sweep: str, trials: Sequence[Any]) -> None:
    import optuna

    there = {study.study_name: study for study in optuna.get_all_study_summaries(storage)}
    if study_name in there:
        if MARK not in there[study_name].user_attrs:
            raise ExportError(f"the storage has a study {study_name!r} that is not from rl-eval")
        optuna.delete_study(study_name=study_name, storage=storage)
    study = optuna.create_study(storage=storage, study_name=study_name, direction="maximize")
    study.set_user_attr(MARK, sweep)
    study.add_trials(trials)


def _trial(row: Row, axes: Sequence[AxisRecord]) -> Any:
    """A finished trial of Optuna; None if a seed has not ended."""
    from optuna.trial import TrialState, create_trial

    if row.count("running") or row.count("missing"):
        return None
    scored = row.objective is not None
    unscored = TrialState.PRUNED if row.count("pruned") else TrialState.FAIL
    attributes = {
        "trial": row.id,
        "diverged": row.count("diverged"),
        "scores": {str(run.seed): run.objective for run in row.seeds},
        "reasons": {str(run.seed): run.reason for run in row.seeds if run.reason},
    }
    return create_trial(
        state=TrialState.COMPLETE if scored else unscored,
        value=row.objective,
        params={axis.key: _param(axis, row.values[axis.key]) for axis in axes},
        distributions={axis.key: _distribution(axis) for axis in axes},
        user_attrs=attributes,
        intermediate_values=_curve(row),
    )


def _distribution(axis: AxisRecord) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if axis.scale == "choice":
        return CategoricalDistribution(_choices(axis))
    assert axis.low is not None
    assert axis.high is not None
    if axis.scale == "integer":
        return IntDistribution(int(axis.low), int(axis.high))
    return FloatDistribution(axis.low, axis.high, log=axis.scale == "log")


def _choices(axis: AxisRecord) -> tuple[Setting, ...]:
    """As they are, or as texts where Optuna would take two for one: True is 1 to it."""
    alike = len(set(axis.values)) < len(axis.values)
    return tuple(labels(axis.values)) if alike else axis.values


def _param(axis: AxisRecord, value: Setting) -> Setting:
    if axis.scale != "choice":
        return value
    at = [identity(known) for known in axis.values].index(identity(value))
    return _choices(axis)[at]


def _curve(row: Row) -> dict[int, float]:
    """The mean over seeds wherever all of them have a value."""
    curves = [dict(zip(run.curve.env_steps, run.curve.returns, strict=True)) for run in row.seeds]
    common = set.intersection(*(set(curve) for curve in curves))
    return {step: statistics.fmean(curve[step] for curve in curves) for step in sorted(common)}
