"""Runs of a worker: seeds of trials, begun or resumed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.config import RunConfig
from rl_eval.envs.formulas import LANDSCAPES
from rl_eval.ppo.learner import Optimizer
from rl_eval.records.lock import STALE_SECONDS, LockedError, holder
from rl_eval.run.build import Built, build
from rl_eval.run.loop import Progress
from rl_eval.run.runner import Options, Planned, Result, resume, train_together
from rl_eval.settings import read
from rl_eval.setup.directories import rerun_command
from rl_eval.setup.optimizer import Prepared, prepare
from rl_eval.setup.weights import recorded_weights
from sweeps.execution.work import Order, Outcome, Run, RunTogether, Tell
from sweeps.tasks import formula
from sweeps.tasks.asha import Judge, Pruned, judge_of
from sweeps.trials import static_signature


def make(cost: bool = False) -> Run:
    """The function that a worker calls for each order; it keeps what was compiled last.

    `cost`: see `rl_eval.run.runner.Options`.
    """
    remembered = _memory()

    def run(values: Mapping[str, Any], directory: Path, tell: Tell) -> Outcome:
        config = read(RunConfig, values, str(directory))
        begun = _prepared(config, directory)
        recorded = recorded_weights(directory / "config.json" if begun else None)
        ready = prepare(config, recorded)
        planned = _planned(ready, directory)
        if config.env.id in LANDSCAPES:
            return formula.evaluate(planned.config, directory, dict(planned.facts))

        judge = judge_of(directory, config)
        options = Options(cost=cost, show=_shown(tell, judge))
        try:
            if begun:
                (result,) = resume(ready.config, ready.optimizer, directory, options, remembered)
            else:
                (result,) = train_together([planned], ready.optimizer, options, remembered)
        except Pruned as stopped:
            return stopped.record(directory, config.seeds[0])
        outcome = _outcome(result, config.evaluation.every is not None)
        if judge and result.status == "diverged":
            judge.diverged(outcome[2])
        return outcome

    return run


def make_together() -> RunTogether:
    """The function that a worker calls for several orders at once: they train as a population.

    One that was begun before goes on alone, from its own checkpoint, as do rungs of a tuning sweep.
    """
    single, remembered = make(), _memory()

    def run(orders: Sequence[Order], tell: Tell) -> list[Outcome]:
        configs = [read(RunConfig, values, str(directory)) for values, directory in orders]
        fresh = [
            i
            for i, (config, (_, directory)) in enumerate(zip(configs, orders, strict=True))
            if not _prepared(config, directory)
            and config.env.id not in LANDSCAPES
            and judge_of(directory, config) is None
        ]
        outcomes: dict[int, Outcome] = {}
        if len(fresh) > 1:
            ready = [prepare(configs[i]) for i in fresh]
            planned = [_planned(one, orders[i][1]) for one, i in zip(ready, fresh, strict=True)]
            options = Options(cost=False, show=_shown(tell, None))
            results = train_together(planned, ready[0].optimizer, options, remembered)
            evaluated = planned[0].config.evaluation.every is not None
            ended = [_outcome(result, evaluated) for result in results]
            outcomes = dict(zip(fresh, ended, strict=True))
        for i, order in enumerate(orders):
            if i not in outcomes:
                outcomes[i] = single(*order, tell)
        return [outcomes[i] for i in range(len(orders))]

    return run


def _memory() -> Callable[..., Built]:
    """`build`, which keeps what it built last for configurations of the same signature."""
    kept: dict[tuple[str, int], Built] = {}

    def remembered(
        config: RunConfig, optimizer: Optimizer, resumed: int = 0, seeds: Sequence[int] = ()
    ) -> Built:
        key = static_signature(config), len(config.seeds)
        built = build(config, optimizer, resumed, kept.get(key), seeds)
        if key not in kept:
            kept.clear()
            kept[key] = built
        return built

    return remembered


def _prepared(config: RunConfig, directory: Path) -> bool:
    """Whether the run was begun; what a killed worker left of one that was not is removed."""
    _wait_for(directory)
    begun = config.env.id not in LANDSCAPES and (directory / "config.json").is_file()
    if not begun:
        shutil.rmtree(directory, ignore_errors=True)
    return begun


def _planned(ready: Prepared, directory: Path) -> Planned:
    facts = {"rerun": rerun_command(directory, ready.config), **ready.facts}
    return Planned(ready.config, directory, facts)


def _outcome(result: Result, evaluated: bool) -> Outcome:
    score = result.final_return if result.eval_return is None else result.eval_return
    if evaluated and result.status == "completed":
        score = result.eval_return  # null where it is not finite
    if result.status == "diverged":
        return "diverged", f"at gradient step {result.diverged_at}", score
    return "completed", None, score


def _shown(tell: Tell, judge: Judge | None) -> Callable[[Progress], None]:
    def show(progress: Progress) -> None:
        tell(progress.env_steps / progress.total_env_steps, progress.episode_return)
        if judge:
            judge.look(progress.env_steps)

    return show


def _wait_for(directory: Path) -> None:
    """A sweep that was killed leaves workers that save their runs before they end.

    Raises:
        LockedError: whoever holds the directory does not let go.
    """
    deadline = time.monotonic() + STALE_SECONDS
    while (user := holder(directory)) is not None:
        if time.monotonic() > deadline:
            raise LockedError(f"{directory} is in use by {user}")
        time.sleep(0.2)
