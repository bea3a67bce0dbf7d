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

from collections.abc import Mapping
from types import MappingProxyType

# The best learning rate of each.
LANDSCAPES: Mapping[str, float] = MappingProxyType(
    {"probe/landscape": 1e-3, "probe/landscape-shifted": 1e-2}
)
FLOOR = 0.0  # the score of divergence
HEIGHT = 100.0
