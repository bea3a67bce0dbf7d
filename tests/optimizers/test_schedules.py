"""Known values of every schedule, with Python numbers and with traced ones."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optimizers.schedules import KINDS, make_schedule


def rates(kind: str, share: float, num_steps: int, peak: float = 2.0) -> list[float]:
    schedule = make_schedule(peak, kind, share, num_steps)
    return [float(schedule(count)) for count in range(num_steps + 2)]


@pytest.mark.parametrize(
    ("kind", "share", "expected"),
    [
        ("constant", 0.0, [2, 2, 2, 2, 2, 2]),
        ("linear", 0.0, [2, 1.5, 1, 0.5, 0, 0]),
        ("cosine", 0.0, [2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5, 0, 0]),
        ("constant", 0.5, [0, 1, 2, 2, 2, 2]),
        ("linear", 0.5, [0, 1, 2, 1, 0, 0]),
        ("cosine", 0.5, [0, 1, 2, 1, 0, 0]),
    ],
)
def test_known_values(kind, share, expected):
    np.testing.assert_allclose(rates(kind, share, 4), expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_edges_are_finite(kind):
    assert rates(kind, 0.0, 1)[0] == 2.0
    assert rates(kind, 1.0, 1)[0] == 0.0
    np.testing.assert_allclose(rates(kind, 1.0, 4)[:4], [0, 0.5, 1, 1.5])
    assert np.isfinite(rates(kind, 0.999, 3)).all()


def test_agrees_with_optax_where_optax_can_do_it():
    ours = make_schedule(3e-4, "cosine", 0.05, 1000)
    theirs = optax.warmup_cosine_decay_schedule(0.0, 3e-4, 50, 1000)
    counts = jnp.arange(1001)
    np.testing.assert_allclose(ours(counts), theirs(counts), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_vmaps_over_peak_and_warmup_under_jit(kind):
    peaks, shares = jnp.array([1e-3, 1e-2, 1e-1]), jnp.array([0.0, 0.3, 1.0])
    at = jax.jit(jax.vmap(lambda lr, w: make_schedule(lr, kind, w, 10)(4)))
    alone = [
        make_schedule(float(p), kind, float(w), 10)(4) for p, w in zip(peaks, shares, strict=True)
    ]
    np.testing.assert_allclose(at(peaks, shares), alone, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "share", "num_steps", "message"),
    [
        ("step", 0.0, 10, "constant, linear, cosine, got 'step'"),
        ("linear", 0.0, 0, "num_steps must be at least 1, got 0"),
        ("linear", 1.5, 10, r"warmup_share must lie in \[0, 1\], got 1.5"),
    ],
)
def test_wrong_settings_say_what_is_allowed(kind, share, num_steps, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(1e-3, kind, share, num_steps)
