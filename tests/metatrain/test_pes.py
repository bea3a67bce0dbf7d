"""Meta-gradients of a problem that can be differentiated by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from metatrain import tiny

from optimizers.metatrain import Unroll, particles, pes
from optimizers.metatrain.tasks import tasks

STEPS, TRUNCATION, PARTICLES = 20, 5, 20_000


def losses_of(log_step: jax.Array, start: jax.Array, num_steps: int) -> jax.Array:
    """Losses of gradient descent on 0.5 x^2, each before its step."""
    return 0.5 * (start * (1 - jnp.exp(log_step)) ** jnp.arange(num_steps)) ** 2


@pytest.fixture(scope="module")
def estimates() -> tuple[np.ndarray, np.ndarray]:
    """Gradients of the mean loss over the whole unroll, antithetic and plain, one a particle."""
    rule, sigma = tiny.sgd_rule(), 0.01
    unroll = Unroll(PARTICLES, TRUNCATION, STEPS, STEPS, 1.0, 1.0, sigma)
    theta, unravel = ravel_pytree(rule.init_theta(jax.random.key(0)))
    inner = particles.Inner(rule, tasks.group_tasks([tiny.parabola()])[0], unroll, unravel)
    state = particles.start(inner, theta, jax.random.key(1))
    state = state.replace(step=state.length)  # all begin together
    truncate = jax.jit(lambda state, key: particles.truncate(inner, theta, state, key))
    antithetic, plain = [], []
    for i in range(STEPS // TRUNCATION):
        state, told = truncate(state, jax.random.fold_in(jax.random.key(2), i))
        antithetic.append(told.gradient[0, :, 0])
        plain.append(state.perturbation[0, :, 0] * told.meta_loss[0, :, 0] / sigma**2)
    return np.mean(antithetic, 0), np.mean(plain, 0)


def test_pes_is_unbiased_over_the_whole_unroll(estimates: tuple[np.ndarray, np.ndarray]) -> None:
    log_step = jnp.log(jnp.float32(0.05))
    exact = jax.grad(lambda s: losses_of(s, jnp.float32(1), STEPS).mean())(log_step)
    error = estimates[0].std() / PARTICLES**0.5
    assert error < 0.05 * abs(exact)  # else the next line would accept anything
    assert abs(estimates[0].mean() - exact) < 3 * error


def test_truncated_backpropagation_is_biased_where_pes_is_not(
    estimates: tuple[np.ndarray, np.ndarray],
) -> None:
    log_step = jnp.log(jnp.float32(0.05))

    def truncated(s: jax.Array) -> jax.Array:
        starts = (1 - 0.05) ** jnp.arange(0, STEPS, TRUNCATION)
        return jax.vmap(lambda x: losses_of(s, x, TRUNCATION))(starts).mean()

    biased = jax.grad(truncated)(log_step)
    assert abs(estimates[0].mean() - biased) > 10 * estimates[0].std() / PARTICLES**0.5


def test_antithetic_pairs_beat_twice_as_many_single_ones(
    estimates: tuple[np.ndarray, np.ndarray],
) -> None:
    antithetic, plain = estimates
    assert antithetic.var() < 0.1 * plain.var() / 2


def test_saturation_keeps_small_losses_and_bounds_all_others() -> None:
    loss = jnp.array([0.0, 2.5, 3.0, 3.0 + np.e - 1, 1e6, 1e9, jnp.inf, jnp.nan])
    top = 3 + np.log1p(1e6 - 3)
    want = [0.0, 2.5, 3.0, 4.0, top, top, top, top]
    np.testing.assert_allclose(pes.saturate(loss), want, rtol=1e-6)
