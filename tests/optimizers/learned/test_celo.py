"""Celo and Celo-Adam as optax transformations."""

from __future__ import annotations

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optimizers import weights
from optimizers.learned.celo import CELO, CELO_ADAM, celo, celo_adam, init_schedule, schedule

NUM_STEPS = 20
SHAPES = {"0": (), "1": (3,), "2": (2, 3), "4": (2, 2, 2, 3)}
RULES = {"celo": celo, "celo-adam": celo_adam}


def make_theta(name, seed=0):
    theta = weights.initial(name, jax.random.key(seed), H=8)
    return jax.tree.map(lambda x: np.asarray(x) + np.float32(0.1), theta)


def tree(seed, dtype=jnp.float32):
    normal = np.random.default_rng(seed).standard_normal
    return {name: jnp.asarray(normal(shape), dtype) for name, shape in SHAPES.items()}


def first_update(optimizer, grads, params):
    start = jax.jit(optimizer.init)(params)
    return jax.jit(optimizer.update)(grads, start, params, value=1.0)


@pytest.fixture(params=RULES)
def name(request):
    return request.param


def test_missing_arguments_are_named_when_tracing(name):
    optimizer, params = RULES[name](NUM_STEPS, make_theta(name)), tree(0)
    state = jax.eval_shape(optimizer.init, params)
    with pytest.raises(ValueError, match=f"{name} needs the parameters"):
        jax.eval_shape(functools.partial(optimizer.update, value=1.0), params, state)
    with pytest.raises(ValueError, match=f"{name} needs the loss: .* value=loss"):
        jax.eval_shape(optimizer.update, params, state, params)
    with pytest.raises(ValueError, match=f"{name}: num_steps must be at least 1"):
        RULES[name](0, make_theta(name))


def test_every_rank_moves_in_its_dtype_and_the_state_is_float32(name):
    optimizer = RULES[name](NUM_STEPS, make_theta(name))
    full, state = first_update(optimizer, tree(1), tree(0))
    half, _ = first_update(optimizer, tree(1, jnp.bfloat16), tree(0, jnp.bfloat16))
    for path, update in full.items():
        assert update.any(), path
        assert half[path].dtype == jnp.bfloat16
        np.testing.assert_allclose(half[path].astype(jnp.float32), update, rtol=0.1, atol=1e-4)
    assert {x.dtype for x in jax.tree.leaves(state)} == {np.dtype("float32"), np.dtype("int32")}


def test_a_population_of_weights_and_horizons_equals_runs_alone(name):
    thetas, horizons = [make_theta(name, seed) for seed in range(2)], jnp.array([20, 200])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *thetas)

    def update(theta, num_steps):
        optimizer = RULES[name](num_steps, theta)
        return optimizer.update(tree(1), optimizer.init(tree(0)), tree(0), value=1.0)

    together, alone = jax.jit(jax.vmap(update))(stacked, horizons), jax.jit(update)
    for i, theta in enumerate(thetas):
        member = jax.tree.map(lambda x, i=i: x[i], together)
        chex.assert_trees_all_close(member, alone(theta, horizons[i]), rtol=1e-4, atol=1e-6)


def test_step_size_follows_from_loss_and_time_alone():
    theta = make_theta("celo")
    early, late = (
        schedule(theta, init_schedule(theta)._replace(step=jnp.int32(step)), 1.0, NUM_STEPS)
        for step in (0, NUM_STEPS)
    )
    assert early.lr_mult > 0
    assert early.lr_mult != late.lr_mult
    state = early.schedule
    for loss in (2.0, 3.0):
        state = schedule(theta, state, loss, NUM_STEPS).schedule
    falling, rising = (schedule(theta, state, loss, NUM_STEPS).lr_mult for loss in (1.0, 4.0))
    assert falling != rising


def test_celo_adam_is_adam_under_the_schedule():
    theta, params, grads = make_theta("celo-adam"), tree(0), tree(1)
    optimizer = celo_adam(NUM_STEPS, theta)
    updates, _ = first_update(optimizer, grads, params)
    lr_mult = schedule(theta, optimizer.init(params).schedule, 1.0, NUM_STEPS).lr_mult
    adam = optax.adam(0.001 * lr_mult, b1=0.9, b2=0.999, eps=1e-8, eps_root=1e-10)
    expected, _ = adam.update(grads, adam.init(params))
    chex.assert_trees_all_close(updates, expected, rtol=1e-4)


@pytest.mark.parametrize("spec", [CELO, CELO_ADAM], ids=lambda spec: spec.name)
def test_by_name_they_read_weights_from_a_file(tmp_path, spec):
    theta = make_theta(spec.name)
    weights.save(tmp_path / "theta.msgpack", theta)
    built = spec.build(NUM_STEPS, weights=str(tmp_path / "theta.msgpack"))
    direct = RULES[spec.name](NUM_STEPS, theta)
    params = {"2": tree(0)["2"]}
    chex.assert_trees_all_equal(
        first_update(built, params, params), first_update(direct, params, params)
    )
