"""Sums of products over input channels, written so that XLA reads each large array once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def sums(channels: Sequence[Array], w: Array, start: Iterable[Array]) -> list[Array]:
    """`start[j] + sum_k channels[k] * w[k, j]` for every j.

    The sum must end with a channel: XLA computes the sum of two large arrays once, however many
    read it, but anything that ends with the addition of a scalar once for each reader.
    """
    units = []
    for j, unit in enumerate(start):
        for k, x in enumerate(channels):
            unit = unit + x * w[k, j]
        units.append(unit)
    return units


def product(w: Float[Array, "channel unit"], x: Float[Array, "channel ..."]) -> Array:
    """`sum_c w[c, u] * x[c]` for every unit, in full precision."""
    return jnp.einsum("cu,c...->u...", w, x, precision=jax.lax.Precision.HIGHEST)
