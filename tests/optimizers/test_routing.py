"""The table names a rule for every leaf and accounts for every byte of state."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

import optimizers
from optimizers.routing import SHARED, Row, routing_table

PARAMS = {
    "conv": {
        "kernel": jax.ShapeDtypeStruct((3, 3, 4, 16), jnp.float32),
        "bias": jax.ShapeDtypeStruct((16,), jnp.float32),
    },
    "head": [
        jax.ShapeDtypeStruct((64, 6), jnp.float32),
        jax.ShapeDtypeStruct((6,), jnp.bfloat16),
    ],
}


def test_adamw_keeps_two_moments_a_leaf_and_two_counters():
    assert routing_table(optimizers.get("adamw"), PARAMS) == [
        Row("conv/bias", (16,), "float32", "adamw", 2 * 4 * 16),
        Row("conv/kernel", (3, 3, 4, 16), "float32", "adamw", 2 * 4 * 576),
        Row("head/0", (64, 6), "float32", "adamw", 2 * 4 * 384),
        Row("head/1", (6,), "bfloat16", "adamw", 2 * 2 * 6),
        Row(SHARED, (), "", "", 8),
    ]


def test_muon_keeps_one_moment_where_it_orthogonalizes():
    rows = {row.path: row for row in routing_table(optimizers.get("muon"), PARAMS)}
    assert (rows["conv/kernel"].rule, rows["conv/kernel"].state_bytes) == ("muon", 4 * 576)
    assert (rows["conv/bias"].rule, rows["conv/bias"].state_bytes) == ("adamw", 2 * 4 * 16)


def test_settings_change_the_table():
    rows = routing_table(optimizers.get("muon"), PARAMS, adamw_paths="head")
    assert [row.rule for row in rows] == ["adamw", "muon", "adamw", "adamw", ""]


def test_state_that_mixes_leaves_is_shared():
    flat = optimizers.OptimizerSpec("flat", make=lambda num_steps: optax.flatten(optax.adam(1e-3)))
    *leaves, shared = routing_table(flat, {"a": jnp.zeros((2, 2)), "b": jnp.zeros(3)})
    assert [row.state_bytes for row in leaves] == [0, 0]
    assert shared.state_bytes == 2 * 4 * 7 + 4


@pytest.mark.parametrize("name", optimizers.names())
def test_rows_add_up_to_the_whole_state(name, all_weights):
    spec = optimizers.get(name)
    state = jax.eval_shape(spec.build(1000).init, PARAMS)
    total = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    assert sum(row.state_bytes for row in routing_table(spec, PARAMS)) == total
