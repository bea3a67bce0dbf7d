"""Whether an optimizer can take a step on a run's network, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rl_eval.config import RunConfig
from rl_eval.ppo.learner import Optimizer
from rl_eval.ppo.networks import make_network
from rl_eval.settings import SettingsError
from rl_eval.types import Environment


def check_optimizer(config: RunConfig, optimizer: Optimizer, env: Environment) -> None:
    """Trace the first step of the optimizer; nothing is compiled or run.

    Rules that need more than params and value are only begun.

    Raises:
        SettingsError: it cannot be built for the network or take a step, with the reason.
    """
    network = make_network(config.network, env.observation, env.num_actions)

    def step(traced: Mapping[str, Any]) -> Any:
        rule = optimizer.make(config.num_gradient_steps, dict(traced))
        params = network.init(jax.random.key(0))
        state = rule.init(params)
        if optimizer.needs:
            return state
        return rule.update(params, state, params, value=jnp.float32(0))

    numbers = optimizer.numbers(config.optimizer.hyperparameters)
    try:
        jax.eval_shape(step, {name: jnp.float32(number) for name, number in numbers.items()})
    except Exception as error:  # whatever a user's code raises
        name = config.optimizer.name
        text = str(error) if name in str(error) else f"optimizer '{name}': {_told(error)}"
        raise SettingsError(text) from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


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
