"""The per-tensor LSTM of VeLO, Celo and Celo-Adam: all tensors are rows of one matrix product."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Layers = dict[str, Any]  # theta's rnn_params


class LstmState(NamedTuple):
    hidden: Float[Array, "tensor unit"]
    cell: Float[Array, "tensor unit"]


def init_lstm(theta: dict[str, Any], rows: int) -> LstmState:
    """The trained initial state, the same for every tensor."""
    parts = (jnp.asarray(theta["lstm_init_state"][part]) for part in LstmState._fields)
    # A copy even of a single row: a learner donates its state, and theta must survive that.
    return LstmState(*(jnp.array(jnp.tile(part, (rows, 1)), copy=True) for part in parts))


def lstm_step(layers: Layers, x: Float[Array, "tensor feature"], state: LstmState) -> LstmState:
    """Mix the tensors' features (by a maximum over tensors) and advance their LSTM.

    Theta's layer `linear` is dead in the references: the second mixing layer reads `x` as well.
    """
    shared = jnp.max(jax.nn.relu(linear(layers, "linear_1", x)), axis=0, keepdims=True)
    mixed = linear(layers, "linear_2", x) + shared
    z = linear(layers, "rnn/linear", jnp.concatenate([mixed, state.hidden], axis=1))
    write, new, forget, read = jnp.split(z, 4, axis=1)
    cell = jax.nn.sigmoid(forget + 1) * state.cell + jax.nn.sigmoid(write) * jnp.tanh(new)
    return LstmState(jax.nn.sigmoid(read) * jnp.tanh(cell), cell)


def linear(layers: Layers, name: str, x: Float[Array, "tensor in"]) -> Float[Array, "tensor out"]:
    layer = layers[name]
    return jnp.matmul(x, layer["w"], precision=jax.lax.Precision.HIGHEST) + layer["b"]
