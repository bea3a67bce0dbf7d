"""The phases of a comparison: tuning, the reported runs, cost. Each goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rl_eval.records.comparison import CompareRecord, Tuning
from rl_eval.records.scored import check_alone
from rl_eval.setup.trust import Trust
from rl_eval.terminal import Console
from sweeps import plan
from sweeps.comparison.plan import reported_trials, tuning_plan
from sweeps.execution import execute
from sweeps.execution.here import here
from sweeps.execution.local import local
from sweeps.execution.places import places
from sweeps.execution.work import Ended
from sweeps.executor import Here, Workers
from sweeps.running import run_remaining
from sweeps.tasks.cost import TASK as COST_TASK
from sweeps.tasks.cost import cost_items, make, one_by_one
from sweeps.trials import Trial, run_directory


def run_all(
    out: Path,
    record: CompareRecord,
    workers: Workers,
    console: Console,
    *,
    retry_failed: bool,
    cost: bool,
) -> None:
    """Everything that has not ended."""
    if record.tuning and not (out / "sweep.json").is_file():
        folder, trials = out / "tuning", planned_tuning(out, record, record.tuning)
        check_all_alone(folder, trials, record.tuning.seeds)
        run_remaining(
            folder,
            trials,
            record.tuning.seeds,
            workers,
            console,
            title="tuning",
            retry_failed=retry_failed,
        )
    trials = reported_trials(out, record)
    check_all_alone(out, trials, record.seeds)
    run_remaining(
        out, trials, record.seeds, workers, console, title="reported", retry_failed=retry_failed
    )
    if cost:
        _measure(out, trials, record.seeds[0], workers, console)


def check_all_alone(folder: Path, trials: Sequence[Trial], seeds: Sequence[int]) -> None:
    """Hold fixed with how many members a run is trained: with none here.

    Raises:
        RecordError: a run that is there was trained beside others.
    """
    for trial in trials:
        for seed in seeds:
            directory = run_directory(folder, trial.id, seed)
            if (directory / "config.json").is_file():
                check_alone(directory)


def planned_tuning(out: Path, record: CompareRecord, tuning: Tuning) -> list[Trial]:
    """The trials that tune, written as a sweep of their own."""
    folder = out / "tuning"
    if (folder / "sweep.json").is_file():
        checked = Trust.of((*record.envs, *record.optimizers), code=False)
        return plan.extended(folder, None, None, "", checked)[1]
    described = tuning_plan(record, tuning)
    trials = plan.trials_of(described)
    folder.mkdir(exist_ok=True)
    plan.write(folder, described, trials)
    return trials


def _measure(
    out: Path, trials: Sequence[Trial], seed: int, workers: Workers, console: Console
) -> None:
    todo = cost_items(out, trials, seed)
    if not todo:
        return
    console.print(f"cost: {len(todo)} short runs, one after another", highlight=False)
    if isinstance(workers.place, Here):
        run_on = here(make)
    else:
        run_on = local(COST_TASK, places(1), out / "cost" / "workers", workers.patience_s)
    with closing(execute.execute(todo, one_by_one(run_on))) as events:
        for event in events:
            if isinstance(event, Ended) and event.status == "failed":
                config = event.item.config
                text = f"cost of {config.optimizer.name} in {config.env.id}: {event.reason}"
                console.print(text, highlight=False, soft_wrap=True, markup=False)
