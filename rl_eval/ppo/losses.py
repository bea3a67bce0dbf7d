"""The three terms of the PPO loss and what is logged beside them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class LossTerms(NamedTuple):
    """Masked means over a minibatch. `total` is what is differentiated."""

    total: Float[Array, ""]
    policy: Float[Array, ""]
    value: Float[Array, ""]
    entropy: Float[Array, ""]
    approx_kl: Float[Array, ""]
    clipfrac: Float[Array, ""]


def masked_mean(x: Float[Array, " batch"], mask: Bool[Array, " batch"]) -> Float[Array, ""]:
    """Mean over the entries where `mask` holds; 0 where it holds nowhere."""
    return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(jnp.sum(mask), 1)


def normalise(x: Float[Array, " batch"], mask: Bool[Array, " batch"]) -> Float[Array, " batch"]:
    """Zero mean and unit sample deviation (n - 1, as in CleanRL) over the masked entries."""
    centred = x - masked_mean(x, mask)
    variance = jnp.sum(jnp.where(mask, centred**2, 0.0)) / jnp.maximum(jnp.sum(mask) - 1, 1)
    return centred / (jnp.sqrt(variance) + 1e-8)


def ppo_loss(
    logits: Float[Array, "batch action"],
    value: Float[Array, " batch"],
    action: Int[Array, " batch"],
    old_log_prob: Float[Array, " batch"],
    old_value: Float[Array, " batch"],
    advantage: Float[Array, " batch"],
    target: Float[Array, " batch"],
    valid: Bool[Array, " batch"],
    *,
    clip_eps: Float[Array, ""],
    vf_coef: Float[Array, ""],
    ent_coef: Float[Array, ""],
    clip_vloss: bool,
) -> LossTerms:
    """Clipped surrogate, squared value error and entropy bonus for discrete actions.

    Source: Schulman et al. 2017 (arXiv 1707.06347), equations 7 and 9; value clipping and
    approx_kl as in CleanRL (the latter is Schulman's k3 estimator).
    """
    log_probs = jax.nn.log_softmax(logits)
    log_prob = jnp.take_along_axis(log_probs, action[:, None], axis=-1)[:, 0]
    log_ratio = log_prob - old_log_prob
    ratio = jnp.exp(log_ratio)
    clipped_ratio = jnp.clip(ratio, 1.0 - clip_eps, 1.0 + clip_eps)
    surrogate = jnp.minimum(ratio * advantage, clipped_ratio * advantage)

    error = (value - target) ** 2
    if clip_vloss:
        clipped_value = old_value + jnp.clip(value - old_value, -clip_eps, clip_eps)
        error = jnp.maximum(error, (clipped_value - target) ** 2)

    policy = -masked_mean(surrogate, valid)
    value_loss = 0.5 * masked_mean(error, valid)
    entropy = masked_mean(-jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1), valid)
    outside = (jnp.abs(ratio - 1.0) > clip_eps).astype(value.dtype)
    return LossTerms(
        total=policy + vf_coef * value_loss - ent_coef * entropy,
        policy=policy,
        value=value_loss,
        entropy=entropy,
        approx_kl=masked_mean(ratio - 1.0 - log_ratio, valid),
        clipfrac=masked_mean(outside, valid),
    )


def explained_variance(
    value: Float[Array, "time env"],
    target: Float[Array, "time env"],
    valid: Bool[Array, "time env"],
) -> Float[Array, ""]:
    """1 - Var(target - value) / Var(target) over valid steps; 0 where the target is constant."""
    value, target, valid = value.ravel(), target.ravel(), valid.ravel()

    def variance(x: Array) -> Array:
        return masked_mean((x - masked_mean(x, valid)) ** 2, valid)

    total = variance(target)
    residual = variance(target - value)
    return jnp.where(total == 0, 0.0, 1.0 - residual / jnp.where(total == 0, 1.0, total))
