"""muLO: the rule of small_fc_lopt, gradients made harmless, and a multiplier for each leaf."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optimizers import weights
from optimizers.learned.mlp_lopt import mlp_lopt
from optimizers.learned.mulo import MULO, default_multipliers, mulo

SHAPES = {"kernel": (2, 3), "bias": (3,)}
THETA = "theta.msgpack"


def make_theta():
    theta = weights.initial("mulo", jax.random.key(0), D=4)
    return jax.tree.map(lambda x: np.asarray(x) + np.float32(0.01), theta)


def tree(seed):
    normal = np.random.default_rng(seed).standard_normal
    return {name: jnp.asarray(normal(shape), jnp.float32) for name, shape in SHAPES.items()}


def first_update(optimizer, grads, params):
    start = jax.jit(optimizer.init)(params)
    return jax.jit(optimizer.update)(grads, start, params)[0]


@pytest.fixture(scope="module")
def plain():
    """Updates of the rule underneath."""
    return first_update(mlp_lopt(make_theta(), step_mult=1e-2), tree(1), tree(0))


def test_multipliers_multiply_steps(plain):
    multipliers = {"kernel": 0.25, "bias": 2.0}
    updates = first_update(mulo(make_theta(), multipliers=multipliers), tree(1), tree(0))
    expected = jax.tree.map(lambda x, factor: x * factor, plain, multipliers)
    chex.assert_trees_all_close(updates, expected, rtol=1e-5)


def test_multipliers_of_another_form_are_refused():
    optimizer = mulo(make_theta(), multipliers={"kernel": 1.0})
    with pytest.raises(ValueError, match="kernel"):
        jax.eval_shape(optimizer.update, tree(1), optimizer.init(tree(0)), tree(0))


def test_missing_parameters_are_named_when_tracing():
    optimizer = mulo(make_theta())
    with pytest.raises(ValueError, match="mulo needs the parameters"):
        jax.eval_shape(lambda p: optimizer.update(p, optimizer.init(p)), tree(0))


def test_gradients_that_are_not_finite_are_made_so():
    grads = {"kernel": jnp.array([[jnp.nan, 1.0, 0.0], [0.5, -1.0, 2.0]]), "bias": jnp.ones(3)}
    harmless = grads | {"kernel": jnp.nan_to_num(grads["kernel"])}
    left, right = (first_update(mulo(make_theta()), g, tree(0)) for g in (grads, harmless))
    chex.assert_trees_all_equal(left, right)
    assert jnp.isfinite(left["kernel"]).all()


def test_gradients_are_clipped_by_their_global_norm():
    optimizer = mulo(make_theta(), clip_norm=1.0)
    long, unit = tree(1), jax.tree.map(lambda g: g / optax.tree.norm(tree(1)), tree(1))
    chex.assert_trees_all_close(
        first_update(optimizer, long, tree(0)), first_update(optimizer, unit, tree(0)), rtol=1e-3
    )


def test_default_multipliers_by_layer():
    def layer(*shape):
        return {"kernel": jnp.zeros(shape), "bias": jnp.zeros(shape[-1])}

    mlp = {"Dense_0": layer(9, 16), "Dense_2": layer(12, 5), "Dense_1": layer(16, 12)}
    assert {k: v["kernel"] for k, v in default_multipliers(mlp).items()} == {
        "Dense_0": 1.0,
        "Dense_1": 1 / 16,
        "Dense_2": 1.0,
    }
    deep = {f"Dense_{i}": layer(4, 4) for i in range(11)}
    factors = {name: leaf["kernel"] for name, leaf in default_multipliers(deep).items()}
    assert [name for name, factor in factors.items() if factor == 1.0] == ["Dense_0", "Dense_10"]


def test_default_multipliers_with_heads():
    """As actor-critic networks have them: the last layer of the torso is hidden."""
    params = {
        "torso": {
            "Conv_0": {"kernel": jnp.zeros((8, 8, 4, 32)), "bias": jnp.zeros(32)},
            "Conv_1": {"kernel": jnp.zeros((4, 4, 32, 64)), "bias": jnp.zeros(64)},
            "Dense_0": {"kernel": jnp.zeros((3136, 512)), "bias": jnp.zeros(512)},
        },
        "actor_head": {"Dense_0": {"kernel": jnp.zeros((512, 6)), "bias": jnp.zeros(6)}},
        "critic_head": {"Dense_0": {"kernel": jnp.zeros((512, 1)), "bias": jnp.zeros(1)}},
    }
    ones = jax.tree.map(lambda _: 1.0, params)
    expected = ones | {
        "torso": {
            "Conv_0": {"kernel": 1.0, "bias": 1.0},
            "Conv_1": {"kernel": 1 / 512, "bias": 1.0},
            "Dense_0": {"kernel": 1 / 3136, "bias": 1.0},
        }
    }
    assert default_multipliers(params) == expected


def test_by_name_it_derives_multipliers(tmp_path):
    weights.save(tmp_path / THETA, make_theta())
    built = MULO.build(10, weights=str(tmp_path / THETA), step_mult=0.02)
    layers = {f"Dense_{i}": {"kernel": tree(i)["kernel"][:, :2]} for i in range(3)}
    direct = mulo(
        make_theta(),
        step_mult=0.02,
        multipliers={f"Dense_{i}": {"kernel": (1.0, 0.5, 1.0)[i]} for i in range(3)},
    )
    chex.assert_trees_all_close(
        first_update(built, layers, layers), first_update(direct, layers, layers), rtol=1e-5
    )
