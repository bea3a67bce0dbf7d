"""Whether an optimizer's schedule keeps up with a run that leaves gradient steps out."""

from __future__ import annotations

from collections.abc import Callable

from rl_eval.config import RunConfig
from rl_eval.ppo.learner import Optimizer


def pace(config: RunConfig, optimizer: Optimizer, notify: Callable[[str], None]) -> dict[str, str]:
    """What the record, and the user, should know of it; nothing where it keeps up."""
    knows = optimizer.follows_run or "progress" in optimizer.needs
    if config.hparams.target_kl is None or knows:
        return {}
    notify(
        f"{config.optimizer.name}: target_kl leaves gradient steps out; a schedule in it counts "
        "only those taken, and lags behind the run, unless its function takes `skipped_steps`"
    )
    return {"schedule": "counts the gradient steps taken, not those that target_kl left out"}
