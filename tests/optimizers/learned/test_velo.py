"""VeLO as an optax transformation, and what its arguments do."""

from __future__ import annotations

import functools
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optimizers import weights
from optimizers.learned.transformation import check_horizon
from optimizers.learned.velo import VELO, VELO_S, factor_of, velo

NUM_STEPS = 20
RANKS = {"0": (), "1": (3,), "2": (2, 3), "3": (2, 1, 3), "4": (2, 2, 2, 3)}
SMALL = {"kernel": (2, 3), "bias": (3,)}


def make_theta(seed=0, **sizes):
    """Random weights, biases included."""
    theta = weights.initial("velo", jax.random.key(seed), **({"H": 8, "P": 4} | sizes))
    return jax.tree.map(lambda x: np.asarray(x) + np.float32(0.1), theta)


def tree(seed, shapes=SMALL, dtype=jnp.float32):
    normal = np.random.default_rng(seed).standard_normal
    return {name: jnp.asarray(normal(shape), dtype) for name, shape in shapes.items()}


def run(optimizer, steps=3, **kind):
    """(parameters, state) after some steps of fixed gradients."""
    params = tree(0, **kind)
    state = jax.jit(optimizer.init)(params)
    update = jax.jit(optimizer.update)
    for i in range(steps):
        updates, state = update(tree(i + 1, **kind), state, params, value=2.0 - i)
        params = optax.apply_updates(params, updates)
    return params, state


def first_update(optimizer, grads, params, value=1.0):
    """(updates, state) of a first step."""
    start = jax.jit(optimizer.init)(params)
    return jax.jit(optimizer.update)(grads, start, params, value=value)


@pytest.fixture(scope="module")
def plain():
    """A run to compare others with."""
    return run(velo(NUM_STEPS, make_theta()), shapes=RANKS)


def test_missing_arguments_are_named_when_tracing():
    optimizer, params = velo(NUM_STEPS, make_theta()), tree(0)
    state = jax.eval_shape(optimizer.init, params)
    with pytest.raises(ValueError, match="velo needs the parameters"):
        jax.eval_shape(optimizer.update, params, state)
    with pytest.raises(ValueError, match=r"velo needs the loss: .* value=loss"):
        jax.eval_shape(optimizer.update, params, state, params)
    with pytest.raises(ValueError, match=r"scalar loss, got shape \(2,\)"):
        jax.eval_shape(
            functools.partial(optimizer.update, value=jnp.ones(2)), params, state, params
        )


def test_missing_horizon_is_named():
    with pytest.raises(ValueError, match="velo needs num_steps"):
        check_horizon("velo", None)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        velo(0, make_theta())


def test_weights_of_another_rule_are_refused():
    with pytest.raises(weights.WeightsError, match="velo weights"):
        velo(NUM_STEPS, weights.initial("celo", jax.random.key(0)))


def test_a_run_beyond_the_longest_says_so():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        velo(150_000, make_theta())
        velo(200_000, make_theta())
    assert len(said) == 1
    assert "200000 gradient steps" in str(said[0].message)


def test_every_rank_moves_and_the_state_is_float32(plain):
    params, state = plain
    for name, leaf in tree(0, RANKS).items():
        assert (params[name] != leaf).any(), name
    assert {x.dtype for x in jax.tree.leaves(state)} == {np.dtype("float32"), np.dtype("int32")}
    assert state.step == 3


def test_bfloat16_parameters_take_the_float32_step(plain):
    after, _ = run(velo(NUM_STEPS, make_theta()), shapes=RANKS, dtype=jnp.bfloat16)
    for name, leaf in after.items():
        assert leaf.dtype == jnp.bfloat16
        np.testing.assert_allclose(leaf.astype(jnp.float32), plain[0][name], rtol=0.02, atol=0.02)


def test_a_population_of_weights_and_settings_equals_runs_alone():
    thetas, decays = [make_theta(seed) for seed in range(2)], jnp.array([0.0, 0.3])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *thetas)
    horizons = jnp.array([20, 200])

    def update(theta, decay, num_steps):
        optimizer = velo(num_steps, theta, weight_decay=decay)
        return optimizer.update(tree(1), optimizer.init(tree(0)), tree(0), value=1.0)

    together, alone = jax.jit(jax.vmap(update))(stacked, decays, horizons), jax.jit(update)
    for i, theta in enumerate(thetas):
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, i=i: x[i], together),
            alone(theta, decays[i], horizons[i]),
            rtol=1e-4,
            atol=1e-5,
        )


def test_injected_hyperparameters_act():
    theta = make_theta()
    injected = optax.inject_hyperparams(velo)(NUM_STEPS, theta, weight_decay=0.3)
    expected, _ = first_update(velo(NUM_STEPS, theta, weight_decay=0.3), tree(1), tree(0))
    updates, _ = first_update(injected, tree(1), tree(0))
    chex.assert_trees_all_close(updates, expected, rtol=1e-4, atol=1e-6)


def test_it_takes_its_part_of_a_tree():
    theta = make_theta()
    mixed = optax.multi_transform(
        {"velo": velo(NUM_STEPS, theta), "sgd": optax.sgd(0.1), "idle": velo(NUM_STEPS, theta)},
        {"kernel": "velo", "bias": "sgd"},
    )
    updates, _ = first_update(mixed, tree(1), tree(0))
    kernel, grad = ({"kernel": tree(seed)["kernel"]} for seed in (0, 1))
    expected, _ = first_update(velo(NUM_STEPS, theta), grad, kernel)
    expected |= {"bias": -0.1 * tree(1)["bias"]}
    chex.assert_trees_all_close(updates, expected, rtol=1e-5, atol=1e-7)


def test_weight_decay_is_a_change_of_gradient_and_loss():
    theta, params, decay = make_theta(), tree(0), 0.2
    grads = jax.tree.map(lambda g, p: g + decay * p, tree(1), params)
    penalty = decay * sum(float((p**2).sum()) for p in params.values())
    decayed = first_update(velo(NUM_STEPS, theta, weight_decay=decay), tree(1), params, 1.5)
    changed = first_update(velo(NUM_STEPS, theta), grads, params, 1.5 + penalty)
    chex.assert_trees_all_close(decayed, changed, rtol=1e-5, atol=1e-6)


def test_unrolled_size_changes_the_program_and_not_its_result(plain):
    params, _ = run(velo(NUM_STEPS, make_theta(), unrolled_size=0), shapes=RANKS)
    chex.assert_trees_all_close(params, plain[0], rtol=1e-4, atol=1e-6)


def test_gradients_are_clipped_elementwise():
    optimizer, params = velo(NUM_STEPS, make_theta()), tree(0)
    huge, clipped = (jax.tree.map(lambda x, s=s: x * 0 + s, params) for s in (1e9, 1e3))
    chex.assert_trees_all_equal(
        first_update(optimizer, huge, params), first_update(optimizer, clipped, params)
    )


def test_legacy_lstm_state_never_advances(plain):
    _, state = run(velo(NUM_STEPS, make_theta(), legacy_lstm_state=True))
    initial = velo(NUM_STEPS, make_theta()).init(tree(0)).lstm
    chex.assert_trees_all_equal(state.lstm, initial)
    assert (plain[1].lstm.hidden[0] != initial.hidden[0]).any()


def test_legacy_loss_features_do_not_know_the_horizon():
    first, second = (
        run(velo(horizon, make_theta(), legacy_loss_features=True))[1].loss for horizon in (20, 200)
    )
    chex.assert_trees_all_equal(first, second)
    np.testing.assert_array_equal(first.means, first.means[0])


@pytest.mark.parametrize(("H", "P", "factor"), [(512, 256, 100.0), (64, 32, 1.0)])
def test_factor_on_the_mixed_weights_follows_from_their_size(H, P, factor):
    draw = functools.partial(weights.initial, "velo", H=H, P=P)
    assert factor_of(jax.eval_shape(draw, jax.random.key(0))) == factor


@pytest.mark.parametrize("spec", [VELO, VELO_S], ids=lambda spec: spec.name)
def test_by_name_it_reads_weights_from_a_file(tmp_path, spec):
    theta = make_theta(H=64, P=32)
    weights.save(tmp_path / "theta.npz", theta)
    built = spec.build(NUM_STEPS, weights=str(tmp_path / "theta.npz"), weight_decay=0.1)
    params = {"w": tree(0)["kernel"]}
    direct = velo(NUM_STEPS, theta, weight_decay=0.1)
    chex.assert_trees_all_equal(
        first_update(built, params, params), first_update(direct, params, params)
    )
