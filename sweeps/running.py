"""Runs of a study that have not ended yet, with a live display."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rl_eval.terminal import Console
from sweeps import executor
from sweeps.execution import execute
from sweeps.execution.display import live
from sweeps.executor import Workers
from sweeps.trials import Trial


def run_remaining(
    folder: Path,
    trials: Sequence[Trial],
    seeds: Sequence[int],
    workers: Workers,
    console: Console,
    *,
    title: str,
    population: int | None = 1,
    retry_failed: bool = False,
    must_share: str | None = None,
) -> None:
    """Run every seed of every trial in `folder` whose record says that it has not ended.

    Args:
        title: begins the line that says what is to be done.
        population: members to train at once; None for as many as are fastest.
        must_share: why nodes of a cluster have to see `folder`.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    todo = execute.items(trials, seeds, folder, retry_failed=retry_failed)
    tally = execute.tally(trials, seeds, folder, todo)
    signatures = len({item.signature for item in todo})
    say(
        f"{title}: {len(trials)} trials x {len(seeds)} seeds, {tally.ended} runs ended, "
        f"{len(todo)} to go, {signatures} to compile"
    )
    if not todo:
        return
    together, sentence = executor.members(workers, population, todo, folder)
    say(sentence)
    run_on = executor.executor(workers, folder, say, must_share, together)
    events = execute.execute(todo, run_on)
    with closing(events), live(console, tally) as show:
        for event in events:
            show(event)
