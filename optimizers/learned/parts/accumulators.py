"""The running averages that learned update rules read, one parameter leaf at a time.

Decays lie on the *first* axis, so that each decay's average is contiguous and fuses like a
parameter. All averages start at zero and none is bias-corrected. Decays are arguments, floats or
traced arrays; their complement is taken in float32, as the rules were trained.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

Decays = ArrayLike | tuple[float, ...]

DECAYS = (0.9, 0.99, 0.999)  # of momenta and of factored second moments alike

_FLOOR = 1e-9


class Factored(NamedTuple):
    """Second moment of a leaf of rank >= 2, averaged over one of its two longest axes at a time.

    The averaged axis is kept with length 1, so both broadcast against `[decay, *leaf]`.
    """

    row: Float[Array, "decay ..."]  # averaged over the longest axis
    col: Float[Array, "decay ..."]  # averaged over the second longest


class Diagonal(NamedTuple):
    """Second moment of a leaf of rank <= 1, where there is nothing to factor."""

    v: Float[Array, "decay ..."]


def factored_axes(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The (second longest, longest) axes; of equal ones the later counts as longer.

    None for rank <= 1. Shazeer and Stern, Adafactor (arXiv 1804.04235), section 3, for matrices;
    longer shapes keep their other axes in both averages.
    """
    if len(shape) < 2:
        return None
    *_, second, longest = sorted(range(len(shape)), key=lambda axis: shape[axis])
    return second, longest


def init_momenta(leaf: Array, num_decays: int = len(DECAYS)) -> Float[Array, "decay ..."]:
    """Zeros of shape [decay, *leaf]."""
    return jnp.zeros((num_decays, *leaf.shape), jnp.float32)


def update_momenta(
    m: Float[Array, "decay ..."], g: Float[Array, ...], decays: Decays = DECAYS
) -> Float[Array, "decay ..."]:
    """Averages of the gradient, one a decay."""
    return _average(m, g, decays)


def init_second_moment(leaf: Array) -> Float[Array, ...]:
    """Zeros of the leaf's own shape: there is one decay."""
    return jnp.zeros(leaf.shape, jnp.float32)


def update_second_moment(
    r: Float[Array, ...], g: Float[Array, ...], decay: ArrayLike
) -> Float[Array, ...]:
    """Average of the squared gradient under one (scalar) decay."""
    decay = jnp.asarray(decay, jnp.float32)
    return decay * r + (1 - decay) * (g * g)


def init_factored(leaf: Array, num_decays: int = len(DECAYS)) -> Factored | Diagonal:
    """Zeros: `Factored` for rank >= 2, otherwise `Diagonal`."""
    axes = factored_axes(leaf.shape)
    if axes is None:
        return Diagonal(init_momenta(leaf, num_decays))
    row, col = ([num_decays, *leaf.shape] for _ in range(2))
    row[1 + axes[1]] = col[1 + axes[0]] = 1
    return Factored(jnp.zeros(row, jnp.float32), jnp.zeros(col, jnp.float32))


def update_factored(
    v: Factored | Diagonal, g: Float[Array, ...], decays: Decays = DECAYS
) -> Factored | Diagonal:
    """Averages of `g^2 + 1e-30`: its means over either long axis, or itself for rank <= 1."""
    axes = factored_axes(g.shape)
    if isinstance(v, Diagonal) or axes is None:
        return Diagonal(_average(v[0], g * g + 1e-30, decays))
    # Two values to XLA, so that each mean squares as it reads and g^2 is never stored.
    g, again = jax.lax.optimization_barrier((g, g))
    return Factored(
        _average(v.row, jnp.mean(g * g, axes[1], keepdims=True) + 1e-30, decays),
        _average(v.col, jnp.mean(again * again, axes[0], keepdims=True) + 1e-30, decays),
    )


def factored_scales(
    v: Factored | Diagonal, shape: tuple[int, ...]
) -> tuple[Float[Array, "decay ..."], Float[Array, "decay ..."] | None]:
    """(R, C) such that `R * C * x` divides x by the root of the factored second moment.

    Both broadcast against [decay, *shape]. For rank <= 1 all of it is in R and C is None.
    """
    axes = factored_axes(shape)
    if isinstance(v, Diagonal) or axes is None:
        return _floored_rsqrt(v[0] + 1e-9), None
    mean = v.row.mean(axes[0] - len(shape), keepdims=True) + 1e-9
    return _floored_rsqrt(v.row / mean), _floored_rsqrt(v.col)


def _average(old: Array, new: Array, decays: Decays) -> Array:
    d = jnp.asarray(decays, jnp.float32).reshape(-1, *(1,) * new.ndim)
    return d * old + (1 - d) * new


def _floored_rsqrt(x: Array) -> Array:
    return jax.lax.rsqrt(jnp.maximum(x, _FLOOR))
