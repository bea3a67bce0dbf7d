"""Persistent evolution strategies: meta-gradients from truncations, without truncation bias.

Source: Vicol, Metz and Sohl-Dickstein, "Unbiased Gradient Estimation in Unrolled Computation
Graphs with Persistent Evolution Strategies", ICML 2021, algorithm 2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def antithetic(
    key: Key[Array, ""], theta: Float[Array, " theta"], sigma: float, leading: tuple[int, ...]
) -> tuple[Float[Array, "*leading theta"], Float[Array, "*leading pair theta"]]:
    """Perturbations of standard deviation `sigma` and theta moved by plus and minus each."""
    epsilon = sigma * jax.random.normal(key, (*leading, theta.size))
    return epsilon, theta + jnp.stack([epsilon, -epsilon], axis=-2)


def gradient(
    perturbation: Float[Array, "*leading theta"],
    loss: Float[Array, "*leading pair"],
    sigma: float,
) -> Float[Array, "*leading theta"]:
    """One estimate a particle.

    Args:
        perturbation: sum of the perturbations since the particle began, this truncation's included.
        loss: of this truncation, under plus and minus.
        sigma: standard deviation of one perturbation.
    """
    difference = loss[..., :1] - loss[..., 1:]
    return perturbation * difference / (2 * sigma**2)


def saturate(
    loss: Float[Array, "*shape"], knee: float = 3.0, ceiling: float = 1e6
) -> Float[Array, "*shape"]:
    """The loss up to `knee`, logarithmic beyond, at most knee + log1p(ceiling - knee) (16.8).

    A loss that is not finite counts as `ceiling`, so one particle can weigh no more than that.
    """
    bounded = jnp.where(jnp.isfinite(loss), jnp.minimum(loss, ceiling), ceiling)
    return jnp.minimum(bounded, knee) + jnp.log1p(jnp.maximum(bounded - knee, 0))
