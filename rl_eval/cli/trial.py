"""What a worker of a sweep does: one seed of a trial, begun or gone on with."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optimizers import registry
from rl_eval.cli.locked import recorded_weights, with_weights
from rl_eval.cli.train import handle, rerun_command
from rl_eval.config import RunConfig
from rl_eval.envs.landscape import LANDSCAPES
from rl_eval.lock import STALE_SECONDS, holder
from rl_eval.loop import Progress
from rl_eval.ppo.learner import Optimizer
from rl_eval.runner import Built, Options, build, resume, train
from rl_eval.settings import read
from sweeps import landscape
from sweeps.asha import Judge, Pruned, judge_of
from sweeps.trials import static_signature
from sweeps.work import Ending, Run, Tell


def make(cost: bool = False) -> Run:
    """The function that a worker calls for each order; it keeps what was compiled last.

    `cost`: see `rl_eval.runner.Options`.
    """
    kept: dict[str, Built] = {}

    def remembered(config: RunConfig, optimizer: Optimizer, resumed: int = 0) -> Built:
        key = static_signature(config)
        built = build(config, optimizer, resumed, like=kept.get(key))
        if key not in kept:
            kept.clear()
            kept[key] = built
        return built

    def run(
        values: Mapping[str, Any], directory: Path, tell: Tell
    ) -> tuple[Ending, str | None, float | None]:
        config = read(RunConfig, values, str(directory))
        formula = config.env.id in LANDSCAPES
        _wait_for(directory)
        begun = not formula and (directory / "config.json").is_file()
        if not begun:
            shutil.rmtree(directory, ignore_errors=True)  # what a killed worker left
        spec = registry.get(config.optimizer.name)
        recorded = recorded_weights(directory / "config.json" if begun else None)
        config, used = with_weights(config, spec, recorded)
        weights = used and dataclasses.asdict(used)
        facts = {"rerun": rerun_command(directory, config), "weights": weights}
        if formula:
            return landscape.evaluate(config, directory, facts)

        judge = judge_of(directory, config)
        static, numbers = spec.split(config.optimizer.hyperparameters)
        optimizer, options = handle(spec, static), Options(cost=cost, show=_shown(tell, judge))
        try:
            if begun:
                (result,) = resume(config, optimizer, numbers, directory, options, remembered)
            else:
                (result,) = train(config, optimizer, numbers, directory, facts, options, remembered)
        except Pruned as stopped:
            return stopped.record(directory, config.seeds[0])
        score = result.final_return if result.eval_return is None else result.eval_return
        if result.status == "diverged":
            if judge:
                judge.diverged(score)
            return "diverged", f"at gradient step {result.diverged_at}", score
        return "completed", None, score

    return run


def _shown(tell: Tell, judge: Judge | None) -> Callable[[Progress], None]:
    def show(progress: Progress) -> None:
        tell(progress.env_steps / progress.total_env_steps, progress.episode_return)
        if judge:
            judge.look(progress.env_steps)

    return show


def _wait_for(directory: Path) -> None:
    """A sweep that was killed leaves workers that save their runs before they end."""
    deadline = time.monotonic() + STALE_SECONDS
    while holder(directory) is not None and time.monotonic() < deadline:
        time.sleep(0.2)
