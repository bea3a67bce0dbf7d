"""Generalised advantage estimation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_eval.types import Transition


def compute_gae(
    batch: Transition, gamma: Float[Array, ""], gae_lambda: Float[Array, ""]
) -> Float[Array, "time env"]:
    """Advantages of a rollout; the value targets are `advantages + batch.value`.

    Termination bootstraps nothing, truncation bootstraps from `next_value`, and neither lets an
    advantage leak into the episode before it. An invalid step hands its successor's advantage on
    untouched, as if it were not there; its own entry is zero.

    Source: Schulman et al. 2016 (arXiv 1506.02438), equation 16.
    """
    alive = 1.0 - batch.terminated
    delta = batch.reward + gamma * batch.next_value * alive - batch.value
    decay = gamma * gae_lambda * alive * (1.0 - batch.truncated)

    def backwards(after: Array, now: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        delta, decay, valid = now
        advantage = delta + decay * after
        return jnp.where(valid, advantage, after), jnp.where(valid, advantage, 0.0)

    _, advantages = jax.lax.scan(
        backwards,
        jnp.zeros_like(delta[0]),
        (delta, decay, batch.valid),
        reverse=True,
        unroll=16,
    )
    return advantages
