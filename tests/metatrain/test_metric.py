"""The number thetas are chosen by, on problems whose losses are known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from metatrain import tiny

from optimizers.metatrain.judging import metric
from optimizers.metatrain.tasks import tasks


def test_the_score_of_gradient_descent_on_parabolas_is_the_closed_form() -> None:
    groups = tasks.group_tasks([tiny.parabola("unit"), tiny.parabola("double", start=2.0)])
    theta = {"log_step": jnp.log(jnp.full(1, 0.02))}
    got = metric.scorer(tiny.sgd_rule(), groups, num_steps=30)(theta)
    steps = 0.02 * np.array(metric.MULTIPLES)
    unit = (0.5 * (1 - steps[:, None]) ** (2 * np.arange(30))).mean(1)
    np.testing.assert_allclose(got.losses, np.stack([unit, 4 * unit], 1), rtol=2e-4, atol=1e-5)
    assert np.isclose(got.best, 2.5 * unit.min(), rtol=1e-4)
    assert np.isclose(got.tuned, got.best)  # both tasks have the same best rate
    assert np.isclose(got.default, 2.5 * unit[metric.MULTIPLES.index(1.0)], rtol=1e-4)


def test_a_diverging_rate_costs_a_bounded_loss_and_is_not_chosen() -> None:
    groups = tasks.group_tasks([tiny.parabola()])
    got = metric.scorer(tiny.sgd_rule(), groups, num_steps=200)({"log_step": jnp.zeros(1)})
    assert 10 < got.losses[-1][0] < 3 + np.log1p(1e6)
    assert got.best < 1


def test_adam_is_scored_on_the_same_problems() -> None:
    group = tasks.group_tasks([tasks.resolve("digits")])
    got = metric.adam(group, num_steps=60, num_seeds=1)
    assert got.best <= got.default < 2.4
    assert got.best < 1.5


def test_the_table_has_a_row_for_each_that_was_scored() -> None:
    score = metric.Score(best=0.25, tuned=0.125, default=1.0, losses=())
    lines = metric.to_markdown({"new": score, "adam": score}).splitlines()
    assert lines[2:] == [f"| {name} | 0.250 | 0.125 | 1.000 |" for name in ("new", "adam")]
