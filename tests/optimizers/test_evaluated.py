"""Where a rule trains other parameters than it evaluates, the right ones are played."""

from __future__ import annotations

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from optax import contrib

from optimizers.evaluated import average_in, is_schedule_free, schedule_free_params
from optimizers.references import OptimizerWarning, as_spec

START = {"w": jnp.ones((2, 3)), "b": jnp.full(3, 2.0)}
FREE = contrib.schedule_free_sgd(0.1)


def trained(rule, steps=6):
    """Parameters and state after some steps down a bowl."""

    @jax.jit
    def step(params, state):
        updates, state = rule.update(params, state, params)
        return optax.apply_updates(params, updates), state

    params, state = START, rule.init(START)
    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def labels(params):
    return {"w": "free", "b": "plain"}


WRAPPED = {
    "alone": FREE,
    "in a chain": optax.chain(optax.clip(10.0), FREE),
    "in MultiSteps": optax.MultiSteps(FREE, 1).gradient_transformation(),
    "if finite": optax.apply_if_finite(FREE, 3),
    "injected": optax.inject_hyperparams(contrib.schedule_free_sgd)(learning_rate=0.1),
}


@pytest.mark.parametrize("rule", WRAPPED.values(), ids=WRAPPED)
def test_schedule_free_is_found_wherever_it_is_wrapped(rule):
    params, state = trained(FREE)
    expected = contrib.schedule_free_eval_params(state, params)
    params, state = trained(rule)
    assert is_schedule_free(state)
    found = schedule_free_params(state, params)
    chex.assert_trees_all_close(found, expected, rtol=1e-5)
    assert not jnp.allclose(found["w"], params["w"], rtol=1e-3)


def test_of_a_partition_only_the_schedule_free_part_is_evaluated_elsewhere():
    rule = optax.partition({"free": FREE, "plain": optax.sgd(0.1)}, labels)
    params, state = trained(rule)
    found = schedule_free_params(state, params)
    alone, alone_state = trained(FREE)
    expected = contrib.schedule_free_eval_params(alone_state, alone)
    chex.assert_trees_all_close(found["w"], expected["w"], rtol=1e-5)
    chex.assert_trees_all_equal(found["b"], params["b"])


def test_a_spec_is_told_of_them_whoever_wrote_it():
    def mine(lr=0.1):
        return optax.chain(optax.clip(1.0), contrib.schedule_free_sgd(lr))

    assert as_spec("mine", mine).eval_params is schedule_free_params
    assert as_spec("mine", FREE).eval_params is schedule_free_params
    assert as_spec("mine", optax.sgd).eval_params is None


class SlowState(NamedTuple):
    count: Any
    slow_params: Any


def averaging(lr=0.1):
    def update(grads, state, params=None):
        return jax.tree.map(lambda g: -lr * g, grads), SlowState(state.count + 1, params)

    return optax.GradientTransformation(lambda p: SlowState(jnp.int32(0), p), update)


def test_an_average_that_cannot_be_read_is_warned_of():
    with pytest.warns(OptimizerWarning, match="its state has slow_params, which looks like"):
        assert as_spec("mine", averaging).eval_params is None


@pytest.mark.parametrize("name", ["ScheduleFreeWrapperState", "LookaheadState", "ema_params"])
def test_names_of_averages_are_known(name):
    assert average_in({name: jnp.zeros(2)}) is not None


@pytest.mark.parametrize("name", ["mu", "trace", "params", "swap", "average_grad", "max_lr"])
def test_names_of_other_things_are_left_alone(name):
    assert average_in({name: jnp.zeros(2)}) is None
