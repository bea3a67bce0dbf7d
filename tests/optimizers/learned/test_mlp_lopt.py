"""small_fc_lopt as an optax transformation."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optimizers import weights
from optimizers.learned.mlp_lopt import MLP_LOPT, mlp_lopt

SHAPES = {"0": (), "1": (3,), "2": (2, 3), "4": (2, 2, 2, 3)}


def make_theta(seed=0, **changes):
    theta = weights.initial("mlp-lopt", jax.random.key(seed), D=6)
    theta = jax.tree.map(lambda x: np.asarray(x) + np.float32(0.01), theta)
    return theta | changes


def tree(seed, dtype=jnp.float32):
    normal = np.random.default_rng(seed).standard_normal
    return {name: jnp.asarray(normal(shape), dtype) for name, shape in SHAPES.items()}


def first_update(optimizer, grads, params):
    start = jax.jit(optimizer.init)(params)
    return jax.jit(optimizer.update)(grads, start, params)


def test_missing_parameters_are_named_when_tracing():
    optimizer = mlp_lopt(make_theta())
    with pytest.raises(ValueError, match="mlp-lopt needs the parameters"):
        jax.eval_shape(lambda p: optimizer.update(p, optimizer.init(p)), tree(0))


def test_every_rank_moves_in_its_dtype_and_the_state_is_float32():
    full, state = first_update(mlp_lopt(make_theta()), tree(1), tree(0))
    half, _ = first_update(mlp_lopt(make_theta()), tree(1, jnp.bfloat16), tree(0, jnp.bfloat16))
    for path, update in full.items():
        assert update.any(), path
        assert half[path].dtype == jnp.bfloat16
        np.testing.assert_allclose(half[path].astype(jnp.float32), update, rtol=0.1, atol=1e-4)
    assert {x.dtype for x in jax.tree.leaves(state)} == {np.dtype("float32"), np.dtype("int32")}


def test_a_population_of_weights_and_settings_equals_runs_alone():
    thetas, factors = [make_theta(seed) for seed in range(2)], jnp.array([1e-3, 1e-2])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *thetas)

    def update(theta, step_mult):
        return first_update(mlp_lopt(theta, step_mult=step_mult), tree(1), tree(0))

    together, alone = jax.jit(jax.vmap(update))(stacked, factors), jax.jit(update)
    for i, theta in enumerate(thetas):
        member = jax.tree.map(lambda x, i=i: x[i], together)
        chex.assert_trees_all_close(member, alone(theta, factors[i]), rtol=1e-4, atol=1e-6)


def test_injected_step_mult_acts():
    theta, params = make_theta(), {"2": tree(0)["2"]}
    injected = optax.inject_hyperparams(mlp_lopt)(theta, step_mult=0.02)
    updates, _ = first_update(injected, params, params)
    expected, _ = first_update(mlp_lopt(theta, step_mult=0.02), params, params)
    chex.assert_trees_all_close(updates, expected, rtol=1e-5)


def test_decays_are_learned():
    """Momentum decays are not bounded, the others lie in [0, 1]."""
    up, down = jnp.full(3, 1.0), jnp.full(3, -1.0)
    theta = make_theta(momentum_decays=up, adafactor_decays=up, rms_decays=down[:1])
    grads = {"1": jnp.array([1.0, 2.0, 3.0])}
    _, state = first_update(mlp_lopt(theta), grads, grads)
    momenta, second, factored = state.averages
    decays = 1 - np.exp(10.0) * (1 - np.array([0.9, 0.99, 0.999]))  # far below 0
    np.testing.assert_allclose(momenta["1"], np.outer(1 - decays, grads["1"]), rtol=1e-3)
    np.testing.assert_allclose(factored["1"].v, np.tile(grads["1"] ** 2, (3, 1)), rtol=1e-6)
    assert (second["1"] < 1e-5).all()


def test_by_name_it_reads_weights_from_a_file(tmp_path):
    weights.save(tmp_path / "theta.msgpack", make_theta())
    built = MLP_LOPT.build(10, weights=str(tmp_path / "theta.msgpack"), step_mult=0.01)
    params = {"2": tree(0)["2"]}
    chex.assert_trees_all_equal(
        first_update(built, params, params),
        first_update(mlp_lopt(make_theta(), step_mult=0.01), params, params),
    )
