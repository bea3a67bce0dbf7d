"""What a worker of a sweep does: seeds of trials, begun or gone on with."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizers import registry
from optimizers.spec import OptimizerSpec
from rl_eval.cli.train import handle, rerun_command
from rl_eval.config import RunConfig
from rl_eval.envs.formulas import LANDSCAPES
from rl_eval.ppo.learner import Optimizer
from rl_eval.records.lock import STALE_SECONDS, LockedError, holder
from rl_eval.run.loop import Progress
from rl_eval.run.runner import Built, Options, Planned, Result, build, resume, train_together
from rl_eval.settings import read
from rl_eval.setup.modules import found_again
from rl_eval.setup.weights import recorded_weights, with_weights
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
        config = _read(values, directory)
        begun = _prepared(config, directory)
        planned, spec = _planned(config, directory, begun)
        if config.env.id in LANDSCAPES:
            return formula.evaluate(planned.config, directory, dict(planned.facts))

        judge = judge_of(directory, config)
        optimizer = _optimizer(spec, planned.config)
        options = Options(cost=cost, show=_shown(tell, judge))
        try:
            if begun:
                numbers = dict(planned.numbers)
                (result,) = resume(config, optimizer, numbers, directory, options, remembered)
            else:
                (result,) = train_together([planned], optimizer, options, remembered)
        except Pruned as stopped:
            return stopped.record(directory, config.seeds[0])
        outcome = _outcome(result)
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
        configs = [_read(values, directory) for values, directory in orders]
        fresh = [
            i
            for i, (config, (_, directory)) in enumerate(zip(configs, orders, strict=True))
            if not _prepared(config, directory)
            and config.env.id not in LANDSCAPES
            and judge_of(directory, config) is None
        ]
        outcomes: dict[int, Outcome] = {}
        if len(fresh) > 1:
            made = [_planned(configs[i], orders[i][1], begun=False) for i in fresh]
            planned, spec = [one for one, _ in made], made[0][1]
            optimizer = _optimizer(spec, planned[0].config)
            options = Options(cost=False, show=_shown(tell, None))
            results = train_together(planned, optimizer, options, remembered)
            outcomes = dict(zip(fresh, map(_outcome, results), strict=True))
        for i, order in enumerate(orders):
            if i not in outcomes:
                outcomes[i] = single(*order, tell)
        return [outcomes[i] for i in range(len(orders))]

    return run


def _read(values: Mapping[str, Any], directory: Path) -> RunConfig:
    """The configuration of an order, with the modules of the user's that it names imported."""
    config = read(RunConfig, values, str(directory))
    found_again(config)
    return config


def parts(config: RunConfig) -> tuple[Optimizer, dict[str, float]]:
    """The optimizer of a configuration and its traced hyperparameters."""
    found_again(config)
    spec = registry.get(config.optimizer.name)
    config, _ = with_weights(config, spec, None)
    return _optimizer(spec, config), spec.split(config.optimizer.hyperparameters)[1]


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


def _planned(config: RunConfig, directory: Path, begun: bool) -> tuple[Planned, OptimizerSpec]:
    """The run with the weights that it uses, and its optimizer."""
    spec = registry.get(config.optimizer.name)
    recorded = recorded_weights(directory / "config.json" if begun else None)
    config, used = with_weights(config, spec, recorded)
    weights = used and dataclasses.asdict(used)
    facts = {"rerun": rerun_command(directory, config), "weights": weights}
    numbers = spec.split(config.optimizer.hyperparameters)[1]
    return Planned(config, numbers, directory, facts), spec


def _optimizer(spec: OptimizerSpec, config: RunConfig) -> Optimizer:
    return handle(spec, spec.split(config.optimizer.hyperparameters)[0])


def _outcome(result: Result) -> Outcome:
    score = result.final_return if result.eval_return is None else result.eval_return
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
