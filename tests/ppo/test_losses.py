"""Loss terms by hand, and the mask that makes invalid steps weigh nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.ppo.losses import explained_variance, masked_mean, normalise, ppo_loss

COEFFICIENTS = {
    "clip_eps": jnp.float32(0.2),
    "vf_coef": jnp.float32(0.5),
    "ent_coef": jnp.float32(0.01),
}


def sample(n, seed=0):
    rng = np.random.default_rng(seed)

    def normal():
        return rng.normal(size=n).astype(np.float32)

    return {
        "logits": rng.normal(size=(n, 3)).astype(np.float32),
        "value": normal(),
        "action": rng.integers(3, size=n).astype(np.int32),
        "old_log_prob": -np.abs(normal()),
        "old_value": normal(),
        "advantage": normal(),
        "target": normal(),
        "valid": np.ones(n, bool),
    }


def loss(batch, clip_vloss=False):
    arrays = jax.tree.map(jnp.asarray, batch)
    return ppo_loss(**arrays, **COEFFICIENTS, clip_vloss=clip_vloss)


def one(ratio, advantage):
    """One transition with a given probability ratio under a uniform policy of two actions."""
    return {
        "logits": np.zeros((1, 2), np.float32),
        "value": np.array([1.0], np.float32),
        "action": np.array([0], np.int32),
        "old_log_prob": np.array([np.log(0.5 / ratio)], np.float32),
        "old_value": np.array([0.0], np.float32),
        "advantage": np.array([advantage], np.float32),
        "target": np.array([3.0], np.float32),
        "valid": np.array([True]),
    }


@pytest.mark.parametrize(
    ("ratio", "advantage", "surrogate"),
    [(1.1, 2.0, 2.2), (1.5, 2.0, 2.4), (1.5, -2.0, -3.0), (0.5, 2.0, 1.0), (0.5, -2.0, -1.6)],
)
def test_surrogate_is_clipped_on_the_pessimistic_side_only(ratio, advantage, surrogate):
    terms = loss(one(ratio, advantage))
    np.testing.assert_allclose(terms.policy, -surrogate, rtol=1e-5)
    np.testing.assert_allclose(terms.approx_kl, ratio - 1 - np.log(ratio), rtol=1e-4)
    assert terms.clipfrac == (abs(ratio - 1) > 0.2)


def test_value_entropy_and_total_by_hand():
    terms = loss(one(1.0, 0.0))
    np.testing.assert_allclose(terms.value, 0.5 * (1 - 3) ** 2, rtol=1e-6)
    np.testing.assert_allclose(terms.entropy, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(terms.total, 0.5 * 2.0 - 0.01 * np.log(2), rtol=1e-6)


def test_clipped_value_loss_uses_the_larger_error():
    terms = loss(one(1.0, 0.0), clip_vloss=True)
    np.testing.assert_allclose(terms.value, 0.5 * (0.2 - 3) ** 2, rtol=1e-6)


def test_invalid_transitions_change_no_term_and_get_no_gradient():
    batch = sample(20)
    junk = jax.tree.map(lambda x: x[:5] * 0 + 9, batch)
    junk["valid"] = np.zeros(5, bool)
    both = jax.tree.map(lambda a, b: np.concatenate([a, b]), batch, junk)
    for name, a, b in zip(loss(batch)._fields, loss(batch), loss(both), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=name)
    grad = jax.grad(lambda v: loss({**both, "value": v}).total)(jnp.asarray(both["value"]))
    assert (np.asarray(grad[20:]) == 0).all()
    assert (np.asarray(grad[:20]) != 0).all()


def test_advantages_are_normalised_over_valid_entries_with_n_minus_one():
    x = np.array([1.0, 2.0, 4.0, 100.0], np.float32)
    valid = np.array([True, True, True, False])
    expected = (x[:3] - x[:3].mean()) / x[:3].std(ddof=1)
    ours = normalise(jnp.asarray(x), jnp.asarray(valid))[:3]
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_mean_over_nothing_is_zero():
    nothing = masked_mean(jnp.asarray([np.nan, 1.0]), jnp.zeros(2, bool))
    assert nothing == 0


def test_explained_variance_is_one_for_perfect_and_zero_for_constant_values():
    target = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
    valid = jnp.ones((8, 4), bool)
    np.testing.assert_allclose(explained_variance(target, target, valid), 1.0)
    constant = jnp.full_like(target, 3.0)
    np.testing.assert_allclose(explained_variance(constant, target, valid), 0.0, atol=1e-6)
    assert explained_variance(target, constant, valid) == 0
