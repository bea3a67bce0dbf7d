"""Clipping and the direction in which theta moves."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from metatrain import tiny

from optimizers.metatrain import Outer, outer
from optimizers.metatrain.tasks import tasks


def test_clipping_shortens_only_gradients_beyond_the_ratio() -> None:
    gradient = jnp.array([[3.0, 4.0], [0.3, 0.4], [30.0, 40.0]])
    usual = jnp.array([1.0, 1.0, 20.0])
    clipped, norm, usual = outer.clip_by_usual_norm(
        gradient, usual, jnp.int32(1000), Outer(clip_ratio=3.0, clip_decay=0.9)
    )
    np.testing.assert_allclose(norm, [5, 0.5, 50], rtol=1e-6)
    np.testing.assert_allclose(clipped, [[1.8, 2.4], [0.3, 0.4], [30, 40]], rtol=1e-6)
    np.testing.assert_allclose(usual, [0.9 + 0.3, 0.9 + 0.05, 18 + 5], rtol=1e-6)


def test_the_usual_norm_begins_as_a_plain_mean_and_the_first_gradient_passes() -> None:
    usual = jnp.zeros(1)
    for i, norm in enumerate([4.0, 2.0, 6.0]):
        gradient, _, usual = outer.clip_by_usual_norm(
            jnp.full((1, 1), norm), usual, jnp.int32(i), Outer()
        )
        np.testing.assert_allclose(gradient, [[norm]], rtol=1e-6)
    np.testing.assert_allclose(usual, [4.0], rtol=1e-6)


def test_a_zero_gradient_stays_zero() -> None:
    gradient, _, _ = outer.clip_by_usual_norm(jnp.zeros((1, 3)), jnp.ones(1), jnp.int32(9), Outer())
    np.testing.assert_array_equal(gradient, 0)


def test_balanced_tasks_pull_alike_however_small_their_losses_are() -> None:
    gradient = jnp.array([[3.0, 0.0], [0.0, 0.003]])
    direction = outer.mean_over_tasks(gradient, jnp.array([2.0, 0.002]))
    np.testing.assert_allclose(direction, [0.75, 0.75], rtol=1e-6)
    np.testing.assert_array_equal(outer.mean_over_tasks(0 * gradient, jnp.zeros(2)), 0)


def test_balancing_changes_where_theta_goes_only_if_it_is_asked_for() -> None:
    groups = tasks.group_tasks([tiny.parabola(), tiny.parabola("far", start=2.0)])
    rule, seen = tiny.sgd_rule(), []
    for balance in (False, True):
        config = dataclasses.replace(tiny.CONFIG, outer=Outer(balance=balance))
        trainer = outer.make_trainer(config, rule, groups)
        state = jax.jit(trainer.init)(rule.init_theta(jax.random.key(0)))
        seen.append(jax.jit(trainer.step)(state)[0].outer[0].mu)
    assert abs(seen[0] - seen[1]).max() > 1e-3


def test_theta_moves_towards_faster_learning_and_groups_are_trained_together() -> None:
    config = dataclasses.replace(tiny.CONFIG, outer=Outer(learning_rate=0.05, warmup=5))
    groups = tasks.group_tasks([tiny.parabola(), tiny.noisy_parabola()])
    assert len(groups) == 2
    trainer = outer.make_trainer(config, tiny.sgd_rule(), groups)
    state = jax.jit(trainer.init)(tiny.sgd_rule().init_theta(jax.random.key(0)))
    before, step = float(state.theta[0]), jax.jit(trainer.step)
    told = []
    for _ in range(60):
        state, progress = step(state)
        told.append(progress)
    assert float(state.theta[0]) > before + 0.2
    assert progress.meta_loss.shape == (2,)
    assert sum(int(p.restarted.sum()) for p in told) > 10
    assert int(state.iteration) == 60
