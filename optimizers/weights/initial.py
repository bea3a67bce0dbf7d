"""Untrained weights: where meta-training starts, and the control row of its evaluation."""

from __future__ import annotations

import functools
import itertools
import math

import jax
import jax.numpy as jnp

from optimizers.weights.templates import Theta, nest, size_of, template_of


@functools.partial(jax.jit, static_argnames=("optimizer", "H", "P", "D"))
def initial(optimizer: str, key: jax.Array, *, H: int = 64, P: int = 32, D: int = 4) -> Theta:
    """Weights drawn from a normal cut at two standard deviations of 1/sqrt(fan-in); others zero.

    Args:
        optimizer: a registered name.
        key: of this draw.
        H: units of the LSTM (velo, celo).
        P: banks of the per-parameter MLP (velo).
        D: hidden units (mlp-lopt, mulo).
    """
    shapes = {
        path: tuple(size_of(dim, {"H": H, "P": P, "D": D}) for dim in shape)
        for path, shape in template_of(optimizer).items()
    }
    drawn = {path: shape for path, shape in shapes.items() if path[-1].startswith("w")}
    sizes = [math.prod(shape) for shape in drawn.values()]
    draws = jax.random.truncated_normal(key, -2.0, 2.0, (sum(sizes),))
    leaves = {path: jnp.zeros(shape, jnp.float32) for path, shape in shapes.items()}
    for (path, shape), end, size in zip(
        drawn.items(), itertools.accumulate(sizes), sizes, strict=True
    ):
        # The slabs w0__0 ... w0__13 are one matrix of 30 rows.
        fan_in = 30 if path[-1].startswith("w0__") else shape[-2]
        leaves[path] = draws[end - size : end].reshape(shape) / math.sqrt(fan_in)
    return nest(leaves)
