"""The phases of a comparison: tuning, the reported runs, cost. Each goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from rl_eval.records.comparison import CompareRecord, Tuning
from sweeps import executor, plan
from sweeps.comparison.plan import reported_trials, tuning_plan
from sweeps.execution import execute
from sweeps.execution.display import live
from sweeps.execution.local import local
from sweeps.execution.places import places
from sweeps.execution.work import Ended
from sweeps.executor import Processes, Tasks
from sweeps.tasks.cost import TASK as COST_TASK
from sweeps.tasks.cost import cost_items, one_by_one
from sweeps.trials import Trial


class Means(NamedTuple):
    """Where the runs go, and after how many silent seconds a worker is taken to hang."""

    place: Processes | Tasks
    patience_s: float


def run_all(
    out: Path,
    record: CompareRecord,
    means: Means,
    console: Console,
    *,
    retry_failed: bool,
    cost: bool,
) -> None:
    """Everything that has not ended."""
    if record.tuning and not (out / "sweep.json").is_file():
        folder, trials = out / "tuning", planned_tuning(out, record, record.tuning)
        seeds = record.tuning.seeds
        _run(folder, "tuning", trials, seeds, means, console, retry_failed)
    trials = reported_trials(out, record)
    _run(out, "reported", trials, record.seeds, means, console, retry_failed)
    if cost:
        _measure(out, trials, record.seeds[0], means, console)


def planned_tuning(out: Path, record: CompareRecord, tuning: Tuning) -> list[Trial]:
    """The trials that tune, written as a sweep of their own."""
    folder = out / "tuning"
    if (folder / "sweep.json").is_file():
        return plan.extended(folder, None, None, "")[1]
    described = tuning_plan(record, tuning)
    trials = plan.trials_of(described)
    folder.mkdir(exist_ok=True)
    plan.write(folder, described, trials)
    return trials


def _run(
    folder: Path,
    what: str,
    trials: Sequence[Trial],
    seeds: Sequence[int],
    means: Means,
    console: Console,
    retry_failed: bool,
) -> None:
    todo = execute.items(trials, seeds, folder, retry_failed=retry_failed)
    tally = execute.tally(trials, seeds, folder, todo)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(f"{what}: {len(trials)} trials x {len(seeds)} seeds, {len(todo)} runs to go")
    if not todo:
        return
    say(executor.members(means.place, 1, todo, folder, means.patience_s)[1])
    run_on = executor.executor(means.place, folder, means.patience_s, say)
    events = execute.execute(todo, run_on)
    with closing(events), live(console, tally) as show:
        for event in events:
            show(event)


def _measure(out: Path, trials: Sequence[Trial], seed: int, means: Means, console: Console) -> None:
    todo = cost_items(out, trials, seed)
    if not todo:
        return
    console.print(f"cost: {len(todo)} short runs, one after another", highlight=False)
    executor = local(COST_TASK, places(1), out / "cost" / "workers", means.patience_s)
    with closing(execute.execute(todo, one_by_one(executor))) as events:
        for event in events:
            if isinstance(event, Ended) and event.status == "failed":
                config = event.item.config
                text = f"cost of {config.optimizer.name} in {config.env.id}: {event.reason}"
                console.print(text, highlight=False, soft_wrap=True, markup=False)
