"""What VeLO, Celo and Celo-Adam know of the whole run: how far it is and how the loss moves."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

_NUM_DECAYS = 10
_WARM_UP = 2  # steps without loss features
_TIMES = (0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1)  # as shares of the run


class LossStatistics(NamedTuple):
    """Running averages of the loss under ten decays, and the smallest each has been."""

    means: Float[Array, " decay"]
    running_min: Float[Array, " decay"]


def init_loss_statistics() -> LossStatistics:
    return LossStatistics(
        jnp.zeros(_NUM_DECAYS), jnp.full(_NUM_DECAYS, 999999999999.0, jnp.float32)
    )


def loss_features(
    statistics: LossStatistics, loss: ArrayLike, count: ArrayLike, horizon: ArrayLike
) -> tuple[LossStatistics, Float[Array, " feature"]]:
    """The statistics with this step's loss, and for each pair of neighbouring decays whether the
    faster average is above (1) or below (-1) its place between its minimum and the slower one.

    Args:
        statistics: before this step.
        loss: of this step, before the update; any sign.
        count: steps before this one. The first two have features 0.
        horizon: the slowest average looks back this many steps, the fastest 10.
    """
    loss = jnp.asarray(loss, jnp.float32)
    horizons = jnp.logspace(1, jnp.log10(jnp.asarray(horizon, jnp.float32)), _NUM_DECAYS)
    # The features are small differences: XLA must not turn exp(x) ** n into exp(x * n) below.
    decays = jax.lax.optimization_barrier(jnp.exp(-1 / horizons))
    seen = jnp.asarray(count, jnp.float32)
    correction = 1 - decays ** (seen + 1)
    largest = jnp.where(seen == 0, loss, jnp.max(statistics.means / correction))
    loss = jnp.minimum(2 * jnp.abs(largest), loss)  # a spike counts as twice the average
    means = statistics.means * decays + loss * (1 - decays)
    corrected = means / correction
    running_min = jnp.minimum(statistics.running_min, corrected)
    slower = jnp.maximum(1e-8, corrected[1:] - running_min[:-1])
    features = jnp.clip((corrected - running_min)[:-1] / slower - 1, -1.0, 1.0)
    features = jnp.where(seen + 1 <= _WARM_UP, 0.0, features)
    return LossStatistics(means, running_min), features


def time_features(count: ArrayLike, num_steps: ArrayLike) -> Float[Array, " feature"]:
    """Soft steps at nine shares of the run; `count` steps lie behind."""
    share = jnp.asarray(count, jnp.float32) / jnp.asarray(num_steps, jnp.float32)
    return jnp.tanh(10 * (share - jnp.array(_TIMES)))
