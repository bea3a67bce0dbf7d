"""The theta built by hand that the meta-training of the shipped celo2-base began with."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optimizers import weights
from optimizers.learned.celo2 import scale_by_celo2
from optimizers.metatrain.starts import celo2_start
from optimizers.metatrain.starts.passing import pass_through


@pytest.fixture(scope="module")
def theta() -> weights.Theta:
    return celo2_start.start(jax.random.key(0))


def test_what_ships_as_the_start_is_the_start(theta: weights.Theta) -> None:
    chex.assert_trees_all_equal(weights.load("celo2-base-start", "celo2-base"), theta)


def test_a_first_step_of_the_start_is_down_the_gradient_at_rms_one(theta: weights.Theta) -> None:
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
    grads = {"w": jnp.outer(jnp.array([1.0, -2.0]), jnp.array([3.0, 0.5, -7.0])), "b": -params["b"]}
    rule = scale_by_celo2(theta, orthogonalize=False)
    updates, _ = jax.jit(rule.update)(grads, rule.init(params), params)
    chex.assert_trees_all_close(updates, jax.tree.map(jnp.sign, grads), atol=1e-3)


def test_the_start_looks_ahead_as_nesterov_does(theta: weights.Theta) -> None:
    """After many steps along g a turned gradient already turns the step: plain momentum goes on."""
    params, grads = {"w": jnp.zeros((2, 2))}, {"w": jnp.array([[1.0, -1.0], [1.0, 1.0]])}
    last = {}
    for name, passed in (("start", celo2_start.PASSED), ("momentum", {"w0__5": (1.0,)})):
        network = pass_through(theta["ff_mod_stack"]["~"], passed)
        rule = scale_by_celo2({"ff_mod_stack": {"~": network}}, orthogonalize=False)
        update, state = jax.jit(rule.update), rule.init(params)
        for sign in [1.0] * 20 + [-1.0]:
            updates, state = update({"w": sign * grads["w"]}, state, params)
        last[name] = np.sign(updates["w"]) * np.sign(grads["w"])
    assert (last["momentum"] == 1).all()
    assert (last["start"] == -1).all()


def test_the_units_that_the_start_does_not_use_are_random_and_unread() -> None:
    network, other = (
        celo2_start.start(jax.random.key(seed))["ff_mod_stack"]["~"] for seed in range(2)
    )
    for name, w in network.items():
        if name.startswith("w0"):
            assert (w[:, 2:] != other[name][:, 2:]).all()
    assert (network["w1"][2:, 2:] != other["w1"][2:, 2:]).all()
    np.testing.assert_array_equal(network["w2"][2:], 0)
    np.testing.assert_array_equal(network["w1"][:2, 2:], 0)
