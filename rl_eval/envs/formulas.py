"""Environments that are a formula: the return is known for every hyperparameter, without training.

What a sweep and its statistics say of them can be checked by hand. The return, at most 100, is

    100 * ridge * interaction +- 1
    ridge = exp(-0.5 * (log10(learning_rate / best) / 0.4)^2)     narrow
    interaction = 1 - 0.75 * min(1, |gamma - 0.95| / 0.05) * min(1, |gae_lambda - 0.9| / 0.1)
                  where either is right the other does not matter
    + 1 for even seeds, - 1 for odd ones

`ent_coef` changes nothing. Where learning_rate * mult_1d > 30 * best (optimizers without mult_1d:
learning_rate > 10 * best) a run diverges. Optimizers without a learning rate have a ridge of 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from rl_eval.config import RunConfig

# The best learning rate of each.
LANDSCAPES: Mapping[str, float] = MappingProxyType(
    {"probe/landscape": 1e-3, "probe/landscape-shifted": 1e-2}
)
FLOOR = 0.0  # the score of divergence
HEIGHT = 100.0


def expected_return(config: RunConfig) -> float:
    """The formula without the noise of seeds."""
    rate = _learning_rate(config)
    ridge = 1.0
    if isinstance(rate, float):
        decades = math.log10(rate / LANDSCAPES[config.env.id])
        ridge = math.exp(-0.5 * (decades / 0.4) ** 2)
    off_gamma = min(1.0, abs(config.hparams.gamma - 0.95) / 0.05)
    off_lambda = min(1.0, abs(config.hparams.gae_lambda - 0.9) / 0.1)
    return HEIGHT * ridge * (1 - 0.75 * off_gamma * off_lambda)


def final_return(config: RunConfig) -> float:
    """What the run of the configuration's one seed ends with."""
    return expected_return(config) + (-1) ** config.seeds[0]


def diverges(config: RunConfig) -> bool:
    """Whether every seed diverges."""
    settings, best = config.optimizer.hyperparameters, LANDSCAPES[config.env.id]
    rate, mult = _learning_rate(config), settings.get("mult_1d")
    if not isinstance(rate, float):
        return False
    return rate * mult > 30 * best if isinstance(mult, float) else rate > 10 * best


def _learning_rate(config: RunConfig) -> object:
    settings = config.optimizer.hyperparameters
    return settings.get("learning_rate", settings.get("lr"))
