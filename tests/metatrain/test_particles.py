"""Restarts, reparametrisation and the guard against blown-up inner problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from metatrain import tiny

from optimizers.metatrain import MetaRule, MetaTask, Unroll, particles, rules
from optimizers.metatrain.particles import Particles, Truncation
from optimizers.metatrain.tasks import tasks

Truncate = Callable[[Particles, jax.Array], tuple[Particles, Truncation]]

UNROLL = Unroll(particles=64, truncation=5, shortest=10, longest=50)


def begin(
    task: MetaTask, unroll: Unroll = UNROLL, rule: MetaRule | None = None
) -> tuple[Particles, Truncate]:
    """Fresh particles and what truncates them, given a key."""
    rule = rule or tiny.sgd_rule()
    theta, unravel = ravel_pytree(rule.init_theta(jax.random.key(0)))
    inner = particles.Inner(rule, tasks.group_tasks([task])[0], unroll, unravel)
    state = jax.jit(lambda key: particles.start(inner, theta, key))(jax.random.key(0))
    return state, jax.jit(lambda state, key: particles.truncate(inner, theta, state, key))


def test_particles_start_at_different_places_of_their_unrolls() -> None:
    state, _ = begin(tiny.noisy_parabola())
    assert (np.asarray(state.step) < state.length).all()
    assert (np.asarray(state.step) % UNROLL.truncation == 0).all()
    assert (np.asarray(state.length) % UNROLL.truncation == 0).all()
    assert state.length.min() >= UNROLL.shortest
    assert state.length.max() <= UNROLL.longest
    assert len(np.unique(state.length)) > 4
    assert 0.2 < (state.step / state.length).mean() < 0.6
    spread = np.log(state.factor)
    assert spread.min() < np.log(1e-1) < np.log(1e1) < spread.max()


def test_a_finished_particle_restarts_and_forgets_its_perturbations() -> None:
    state, truncate = begin(tiny.noisy_parabola())
    finished = jnp.arange(64)[None] < 20
    state = state.replace(step=jnp.where(finished, state.length, state.step))
    state = state.replace(perturbation=jnp.full((1, 64, 1), 100.0))
    after, told = truncate(state, jax.random.key(1))
    np.testing.assert_array_equal(told.restarted, finished)
    np.testing.assert_array_equal(after.step[finished], UNROLL.truncation)
    np.testing.assert_array_equal(after.step[~finished], state.step[~finished] + 5)
    assert abs(after.perturbation[finished]).max() < 1
    assert after.perturbation[~finished].min() > 99
    np.testing.assert_array_equal(after.factor[~finished], state.factor[~finished])
    assert (after.factor[finished] != state.factor[finished]).all()


def test_reparametrisation_changes_the_path_but_not_the_function() -> None:
    task = tasks.image_task("digits", tasks.data.load("digits", "train"))
    unroll = Unroll(particles=2, truncation=1, shortest=9, longest=9, narrowest=5.0, widest=5.0)
    divided, truncate = begin(task, unroll)
    undivided = divided.replace(
        params=particles.multiply(divided.params, jnp.float32(5)), factor=divided.factor / 5
    )

    def losses(state: Particles) -> np.ndarray:
        told = []
        for i in range(3):
            state, truncation = truncate(state, jax.random.key(i))
            told.append(truncation.meta_loss)
        return np.array(told)

    wide, plain = losses(divided), losses(undivided)
    np.testing.assert_allclose(wide[0], plain[0], atol=1e-5)
    assert (abs(wide[2] - plain[2]) > 1e-3).all()
    np.testing.assert_array_equal(plain[0, :, :, 0], plain[0, :, :, 1])  # pairs share their start


def test_a_blown_up_particle_is_counted_bounded_and_restarted() -> None:
    """Starts below zero have an infinite loss; the others must not notice."""
    fragile = MetaTask(
        "fragile",
        init=lambda key: {"x": jax.random.normal(key)},
        loss=lambda params, batch: jnp.where(params["x"] < 0, jnp.inf, 0.5 * params["x"] ** 2),
        examples=np.zeros(1, np.float32),
        batch_size=1,
    )
    state, truncate = begin(fragile, dataclasses.replace(UNROLL, narrowest=1.0, widest=1.0))
    bad = np.asarray(state.params["x"][..., 0] < 0) & np.asarray(state.step < state.length)
    assert 10 < bad.sum() < 54
    state, told = truncate(state, jax.random.key(1))
    np.testing.assert_array_equal(told.blown, bad)
    np.testing.assert_allclose(told.meta_loss[bad], 3 + np.log1p(1e6 - 3), rtol=1e-6)
    assert (told.meta_loss[~bad] < 3).all()
    assert np.isfinite(told.gradient).all()
    _, told = truncate(state, jax.random.key(2))
    assert told.restarted[bad].all()


def test_parameters_that_turn_to_nan_are_given_up_and_the_gradient_stays_finite() -> None:
    rule = MetaRule("explode", lambda key: jnp.zeros(1), lambda theta, n: optax.sgd(-1e30))
    state, truncate = begin(tiny.noisy_parabola(), rule=rule)
    for i in range(4):
        state, told = truncate(state, jax.random.key(i))
        assert told.blown.all()
        assert told.restarted.all() or i == 0
        assert np.isfinite(told.gradient).all()


def test_the_rule_is_told_the_length_of_its_unroll() -> None:
    rule = MetaRule(
        "horizon", lambda key: jnp.zeros(1), lambda theta, n: optax.scale_by_schedule(lambda _: -n)
    )
    unroll = dataclasses.replace(UNROLL, truncation=1, narrowest=1.0, widest=1.0)
    state, truncate = begin(tiny.parabola(), unroll, rule)
    after, _ = truncate(state, jax.random.key(1))
    want = 1.0 - np.asarray(after.length, np.float32)  # x - n * gradient from x = 1
    np.testing.assert_array_equal(after.params["x"][..., 0], want)


def test_a_decaying_step_size_reaches_zero_where_the_unroll_ends() -> None:
    unroll = Unroll(4, truncation=5, shortest=20, longest=20, narrowest=1.0, widest=1.0, sigma=1e-9)
    state, truncate = begin(tiny.parabola(), dataclasses.replace(unroll, linear_decay=True))
    state = state.replace(step=jnp.array([[0, 5, 10, 15]]))  # each particle a quarter further on
    after, _ = truncate(state, jax.random.key(1))
    left = 1 - np.arange(20).reshape(4, 5) / 20
    want = (1 - 0.05 * left).prod(1)  # x - step size * x from x = 1, at tiny.sgd_rule's 0.05
    np.testing.assert_allclose(after.params["x"][0, :, 0], want, rtol=1e-5)


@pytest.mark.parametrize("name", ["celo2", "velo-s"])  # between them: every ingredient
def test_every_rule_is_perturbed_and_vmapped_over_particles(name: str) -> None:
    init, loss = tasks.mlp_classifier((4, 3, 2))
    pixels = np.random.default_rng(0).integers(256, size=(20, 2, 2), dtype=np.uint8)
    task = MetaTask("two-classes", init, loss, (pixels, (pixels[:, 0, 0] > 99).astype(np.int32)))
    unroll = Unroll(particles=2, truncation=3, shortest=9, longest=9, sigma=0.1)
    state, truncate = begin(task, unroll, rules.get(name))
    state, told = truncate(state, jax.random.key(1))
    assert not told.blown.any()
    assert (told.meta_loss[..., 0] != told.meta_loss[..., 1]).any()
    after = state.params["dense_0"]["kernel"]
    assert (after[:, :, 0] != after[:, :, 1]).any()
    assert np.isfinite(after).all()
