"""Newton-Schulz orthogonalization: singular values follow the polynomial, singular vectors stay."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from optimizers.learned.parts.newton_schulz import orthogonalize

SHAPES = [(5, 5), (4, 9), (9, 4), (1, 6), (6, 1), (3, 7, 5), (2, 3, 4, 6)]


def matrices(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def by_singular_values(x, steps=5):
    """The definition in float64: s -> 3.4445 s - 4.775 s^3 + 2.0315 s^5 on normalised s."""
    u, s, vt = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    s = s / np.sqrt((s**2).sum(-1, keepdims=True))
    for _ in range(steps):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return (u * s[..., None, :]) @ vt


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_values_follow_the_polynomial(shape):
    x = matrices(shape)
    np.testing.assert_allclose(orthogonalize(jnp.asarray(x)), by_singular_values(x), atol=2e-5)


def test_number_of_steps():
    x = matrices((4, 6))
    for steps in (0, 1, 3):
        found = orthogonalize(jnp.asarray(x), steps=steps)
        np.testing.assert_allclose(found, by_singular_values(x, steps), atol=2e-5)


def test_singular_values_end_near_one():
    found = np.linalg.svd(orthogonalize(jnp.asarray(matrices((20, 12)))), compute_uv=False)
    assert 0.65 < found.min() < found.max() < 1.2


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e12])
def test_any_scale_stays_finite_and_zero_stays_zero(scale):
    found = orthogonalize(jnp.asarray(scale * matrices((6, 4))))
    assert np.isfinite(found).all()
    assert (np.abs(found).max() > 0) == (scale > 0)


def test_matrices_of_a_batch_do_not_see_each_other():
    x = jnp.asarray(matrices((3, 4, 5)))
    changed = orthogonalize(x.at[0].multiply(-100.0))
    np.testing.assert_allclose(changed[1:], orthogonalize(x)[1:], atol=1e-6)
    np.testing.assert_allclose(changed[0], -orthogonalize(x)[0], atol=1e-5)


def test_bfloat16_is_computed_in_float32():
    x = jnp.asarray(matrices((6, 8)), jnp.bfloat16)
    found = orthogonalize(x)
    assert found.dtype == jnp.bfloat16
    exact = orthogonalize(x.astype(jnp.float32)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(found, exact)


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"two axes or more.*\(3,\)"):
        orthogonalize(jnp.ones(3))
