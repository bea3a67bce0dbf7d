"""What a learned update rule sees of one parameter leaf: features by name, before normalisation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from optimizers.learned.parts.accumulators import Diagonal, Factored


def clip_gradient(g: Array) -> Float[Array, ...]:
    """The gradient in float32, clipped to +-1000: what accumulators and features are fed with."""
    return jnp.clip(g.astype(jnp.float32), -1000.0, 1000.0)


def elementwise_features(
    g: Float[Array, "*leaf"],
    p: Float[Array, "*leaf"],
    r: Float[Array, "*leaf"],
    m: Float[Array, ...],
    R: Float[Array, ...],
    C: Float[Array, ...] | None,
    *,
    eps: float,
) -> dict[str, Array]:
    """The features that differ from element to element of the leaf.

    `m`, `R` and `C` may have a decay axis before those of the leaf; so has what is made of them.

    Args:
        g: gradient, clipped.
        p: parameter before the step.
        r: second moment; like all averages after this step's gradient.
        m: momenta.
        R: `R * C` is the inverse root of the factored second moment.
        C: None for rank <= 1, which has no `fac_m`.
        eps: added to `r` under the root.
    """
    s = jax.lax.rsqrt(r + eps)
    features = {
        "g": g,
        "clip_g": jnp.clip(g, -0.1, 0.1),
        "p": p,
        "m": m,
        "r": r,
        "m_s": m * s,
        "s": s,
        "fac_g": g * R if C is None else g * R * C,
        "g_s": g * s,
    }
    if C is not None:
        # New values to XLA: seeing R and C used twice, it would spread them over the whole leaf.
        R, C = jax.lax.optimization_barrier((R, C))
        features["fac_m"] = m * R * C
    return features


def factored_features(v: Factored | Diagonal) -> dict[str, Array]:
    """The features, [decay, ...], that are constant along one of the two longest axes.

    None for rank <= 1.
    """
    if isinstance(v, Diagonal):
        return {}
    return {
        "row": v.row,
        "col": v.col,
        "rsqrt_row": jax.lax.rsqrt(v.row + 1e-8),
        "rsqrt_col": jax.lax.rsqrt(v.col + 1e-8),
    }
