"""The optimizer that is released from this repository: AdamW, written out."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class State(NamedTuple):
    """Steps done and the two moments, each shaped as the parameters."""

    count: jax.Array
    mean: optax.Updates
    square: optax.Updates


def make(
    num_steps: int,
    learning_rate: float = 2.5e-4,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-5,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Loshchilov and Hutter (2019), with a learning rate that falls linearly to zero."""

    def init(params: optax.Params) -> State:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return State(jnp.int32(0), zeros, zeros)

    def update(
        grads: optax.Updates, state: State, params: optax.Params | None = None
    ) -> tuple[optax.Updates, State]:
        if params is None:
            raise ValueError("weight decay needs the parameters")
        count = state.count + 1
        rate = learning_rate * (1 - state.count / num_steps)
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, grads)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.square, grads)

        def step(m: jax.Array, v: jax.Array, p: jax.Array) -> jax.Array:
            direction = m / (1 - b1**count) / (jnp.sqrt(v / (1 - b2**count)) + eps)
            return -rate * (direction + weight_decay * p)

        return jax.tree.map(step, mean, square, params), State(count, mean, square)

    return optax.GradientTransformation(init, update)
