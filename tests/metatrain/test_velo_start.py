"""Where velo-s starts from, and the units it is perturbed in."""

from __future__ import annotations

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metatrain import tiny

from optimizers import weights
from optimizers.learned.velo import per_tensor, velo
from optimizers.metatrain import Outer, outer, rules
from optimizers.metatrain.starts import velo_start
from optimizers.metatrain.tasks import tasks

PARAMS = {"w": jnp.array([[3.0, -4.0], [0.0, 5.0]]), "b": jnp.array([2.0, 2.0])}


def test_the_start_steps_down_the_sign_of_a_first_gradient_and_decays_the_parameters() -> None:
    """Normalised by the root of its own square, a first gradient is its sign, as in Adam."""
    theta = _with_equal_banks(velo_start.start(jax.random.key(0)))
    grads = {"w": jnp.array([[1.0, -2.0], [9.0, 0.4]]), "b": jnp.array([-0.3, 7.0])}
    optimizer = velo(100, theta)
    state = optimizer.init(PARAMS)
    updates, _ = jax.jit(optimizer.update)(grads, state, PARAMS, value=1.0)
    step = 1e-3 * per_tensor(theta, state, PARAMS, 1.0, 100).lr_mult[0]
    for name, rms in (("w", math.sqrt(12.5)), ("b", 2.0)):
        want = -step * (1.4 * rms * np.sign(grads[name]) + 0.1 * PARAMS[name])
        np.testing.assert_allclose(updates[name], want, rtol=5e-3)


def test_the_start_averages_gradients() -> None:
    """After eight steps along g, its reversal and the momentum cancel: both have RMS 1."""
    theta = velo_start.start(jax.random.key(0))
    params, grads = {"w": jnp.zeros((2, 2))}, {"w": jnp.array([[1.0, -1.0], [1.0, 1.0]])}
    optimizer = velo(100, theta)
    update, state = jax.jit(optimizer.update), optimizer.init(params)
    for _ in range(8):
        forward, state = update(grads, state, params, value=1.0)
    back, _ = update({"w": -grads["w"]}, state, params, value=1.0)
    assert abs(back["w"]).max() < 1e-3 * abs(forward["w"]).min()


@pytest.mark.parametrize("num_steps", [100, 10_000])
def test_the_step_size_of_the_start_falls_linearly_over_the_run(num_steps: int) -> None:
    theta = velo_start.start(jax.random.key(0))
    state = velo(num_steps, theta).init(PARAMS)
    told = jax.jit(
        lambda step: per_tensor(theta, state._replace(step=step), PARAMS, 1.0, num_steps)
    )
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        fallen = 1 - (1 - velo_start.LAST_SHARE) * share
        got = told(jnp.int32(share * num_steps)).lr_mult / velo_start.STEP_SIZE
        np.testing.assert_allclose(got, fallen, atol=0.07)


def test_added_decay_is_added_to_the_direction() -> None:
    plain = velo_start.start(jax.random.key(0))
    more = velo_start.with_decay(plain, 0.3)
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    step = {}
    for name, theta in (("plain", plain), ("more", more)):
        optimizer = velo(100, theta)
        state = optimizer.init(PARAMS)
        step[name], _ = jax.jit(optimizer.update)(grads, state, PARAMS, value=1.0)
    ratio = (step["more"]["w"] - step["plain"]["w"]) / PARAMS["w"]
    decayed = ratio[PARAMS["w"] != 0]
    np.testing.assert_allclose(decayed, -0.3e-3 * velo_start.STEP_SIZE, rtol=0.2)
    np.testing.assert_allclose(decayed, decayed[0], rtol=1e-2)


def test_the_start_is_a_theta_of_velo_s_whose_unused_units_are_random() -> None:
    first, second = (velo_start.start(jax.random.key(seed)) for seed in range(2))
    weights.check(first, "velo-s")
    chex.assert_trees_all_equal_shapes(first, weights.initial("velo-s", jax.random.key(0)))
    banks, others = (theta["ff_mod_stack"]["~"] for theta in (first, second))
    assert (banks["w0__3"][..., 2:] != others["w0__3"][..., 2:]).all()
    first, second = (theta["rnn_params"]["linear_2"]["w"] for theta in (first, second))
    assert (first[:, 1:] != second[:, 1:]).all()


def test_only_velo_s_has_units_and_a_start_of_its_own() -> None:
    for name, rule in rules.RULES.items():
        assert (rule.units is not None) == (name == "velo-s")
        if name != "velo-s":
            drawn = weights.initial(name, jax.random.key(3))
            chex.assert_trees_all_equal(rule.init_theta(jax.random.key(3)), drawn)


def test_a_bank_is_perturbed_so_that_the_mean_of_the_banks_moves_as_one_number() -> None:
    trainer = outer.make_trainer(tiny.CONFIG, rules.get("velo-s"), tasks.group_tasks([_classes()]))
    theta = velo_start.start(jax.random.key(0))
    state = jax.jit(trainer.init)(theta)
    chex.assert_trees_all_close(trainer.unravel(state.theta), theta, rtol=1e-6)
    noise = jax.random.normal(jax.random.key(1), state.theta.shape)
    moved = jax.tree.map(jnp.subtract, trainer.unravel(state.theta + noise), theta)
    of_mean = moved["ff_mod_stack"]["~"]["w0__3"].mean(0)
    assert 0.5 < of_mean.std() < 2
    assert 0.29 < moved["rnn_params"]["rnn/linear"]["w"].std() < 0.31
    assert 0.9 < moved["rnn_params"]["rnn_to_controls"]["w"].std() < 1.1


def test_units_scale_the_step_of_theta_and_change_nothing_else() -> None:
    """AdamW's first step is its learning rate in the units."""
    config = dataclasses.replace(tiny.CONFIG, outer=Outer(learning_rate=0.05, warmup=0))
    groups = tasks.group_tasks([tiny.parabola()])
    rate = {}
    for unit in (None, 1.0, 3.0):
        rule = tiny.sgd_rule()
        if unit is not None:
            rule = dataclasses.replace(rule, units=lambda theta, u=unit: {"log_step": u})
        trainer = outer.make_trainer(config, rule, groups)
        state = jax.jit(trainer.init)(rule.init_theta(jax.random.key(0)))
        before = trainer.unravel(state.theta)["log_step"]
        state, _ = jax.jit(trainer.step)(state)
        rate[unit] = float((trainer.unravel(state.theta)["log_step"] - before)[0])
    assert rate[None] == rate[1.0]
    np.testing.assert_allclose(np.abs([rate[1.0], rate[3.0]]), [0.05, 0.15], rtol=1e-4)


def _with_equal_banks(theta: weights.Theta) -> weights.Theta:
    """The LSTM's random say in the banks' controls, within a tenth of the step, taken out."""
    controls = theta["rnn_params"]["rnn_to_controls"]
    controls["w"] = jnp.zeros_like(controls["w"])
    return theta


def _classes() -> tasks.MetaTask:
    init, loss = tasks.mlp_classifier((4, 3, 2))
    pixels = np.zeros((20, 2, 2), np.uint8)
    return tasks.MetaTask("two-classes", init, loss, (pixels, np.arange(20, dtype=np.int32) % 2))
