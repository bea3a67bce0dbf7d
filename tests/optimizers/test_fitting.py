"""Transformations of any make take a learner's step, or say in one line why they cannot."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest
from flax.core import freeze
from optax import contrib

from optimizers.fitting import OptimizerError, as_transformation, fitted

PARAMS = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}


def halved(grads, **_):
    return jax.tree.map(lambda g: -0.5 * g, grads)


def stateful(first, then):
    """A rule whose state is `first` and after a step `then(state)`."""

    def update(grads, state, params=None):
        return halved(grads), then(state)

    return optax.GradientTransformation(lambda params: first, update)


def one_step(made, **extra_args):
    """The updates and the state of a compiled step, as a learner takes it."""
    rule = fitted(made, "mine")

    @jax.jit
    def step(params):
        state = rule.init(params)
        updates, new_state = rule.update(params, state, params, value=1.0, **extra_args)
        return updates, jax.tree.map(lambda a, b: jnp.where(True, a, b), new_state, state)

    return step(PARAMS)


def takes_no_params(grads, state):
    return halved(grads), state


def takes_the_loss(grads, state, params=None, *, value):
    return jax.tree.map(lambda g: -value * g / 2, grads), state


@pytest.mark.parametrize("update", [takes_no_params, takes_the_loss])
def test_only_what_the_signature_takes_is_handed_over(update):
    made = optax.GradientTransformationExtraArgs(lambda params: (), update)
    updates, _ = one_step(made, key=jax.random.key(0))
    assert updates["b"].tolist() == [-0.5] * 3


def test_what_a_rule_inside_a_chain_does_not_take_is_left_out_and_the_rest_kept():
    adversary = optax.chain(contrib.normalize(), optax.sgd(0.1))
    sam = contrib.sam(optax.sgd(0.5), adversary, sync_period=1)
    told = optax.GradientTransformationExtraArgs(lambda p: (), takes_the_loss)
    one_step(optax.chain(optax.clip(1.0), sam))
    with pytest.raises(OptimizerError, match="a learner has no 'value'"):
        one_step(optax.chain(told, sam))  # one of them takes the loss, the other refuses it


def test_an_unknown_argument_of_a_users_own_call_is_not_swallowed():
    def update(grads, state, params=None, **extra_args):
        return halved(grads, 1, value=extra_args["value"]), state

    with pytest.raises(OptimizerError, match=r"TypeError.*halved\(\)"):
        one_step(optax.GradientTransformationExtraArgs(lambda params: (), update))


def test_what_a_learner_lacks_is_named_with_what_it_has():
    def update(grads, state, params=None, *, curvature):
        return grads, state

    with pytest.raises(OptimizerError, match="has no 'curvature'; it hands over params and value"):
        one_step(optax.GradientTransformationExtraArgs(lambda params: (), update))


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        (lambda g: {"w": None, "b": -g["b"]}, (0.0, -1.0)),
        (lambda g: freeze(halved(g)), (-0.5, -0.5)),
        (lambda g: jax.tree.map(lambda x: -jnp.sign(x).astype(jnp.int8), g), (-1.0, -1.0)),
        (lambda g: jax.tree.map(lambda x: -x.astype(jnp.bfloat16), g), (-1.0, -1.0)),
    ],
    ids=["None for a frozen leaf", "a frozen dict", "int8", "bfloat16"],
)
def test_updates_arrive_as_the_parameters_are(updates, expected):
    made = optax.GradientTransformation(lambda p: (), lambda g, s, p=None: (updates(g), s))
    found, _ = one_step(made)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), found) == jax.tree.map(
        lambda x: (x.shape, x.dtype), PARAMS
    )
    assert (found["w"][0, 0], found["b"][0]) == expected


@pytest.mark.parametrize(
    ("first", "then", "kept"),
    [
        ({"n": 0, "decay": 0.9}, lambda s: {"n": s["n"] + 1, "decay": s["decay"]}, [0.9, 1]),
        ((jnp.int32(0), None), lambda s: [s[0] + 1, None], [1]),
        ({"n": jnp.int32(1)}, lambda s: freeze({"n": s["n"] * 3}), [3]),
        (jnp.bfloat16(0), lambda s: s + jnp.float32(0.5), [0.5]),
        (jax.random.key(3, impl="rbg"), lambda s: jax.random.split(s)[0], None),
        (True, lambda s: s, [True]),
    ],
    ids=["Python's numbers", "a list", "a frozen dict", "float32", "a key of rbg", "a bool"],
)
def test_states_keep_the_form_they_began_with(first, then, kept):
    made = stateful(first, then)
    before = jax.eval_shape(fitted(made, "mine").init, PARAMS)
    _, after = one_step(made)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), before
    )
    if kept is not None:
        assert [x.tolist() for x in jax.tree.leaves(after)] == pytest.approx(kept)


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (
            {"m": None},
            lambda s: {"m": jnp.ones(3)},
            r"\['m'\] is None at first, float32\[3\] ",
        ),
        (
            {"m": jnp.zeros(0)},
            lambda s: {"m": jnp.zeros(2)},
            r"\['m'\] is float32\[0\] at first, ",
        ),
        ((jnp.zeros(2), 1), lambda s: (s[0],), r"it is a tuple of \[0\], \[1\] at first, a tuple"),
        ({"a": {"b": 1}}, lambda s: {"a": {"c": 1}}, r"\['a'\] is a dict of \['b'\] at first"),
        (
            {"n": 1},
            lambda s: {"n": s["n"] * 0.9},
            r"\['n'\] is int32\[\] at first, float32",
        ),
        ({"name": "adam"}, lambda s: s, r"\['name'\] is 'adam'; a state may hold arrays, numbers"),
        ([len], lambda s: s, r"\[0\] is <built-in function len>; a state may hold arrays"),
    ],
    ids=["None to array", "shape", "length", "key", "int to float", "text", "a function"],
)
def test_a_state_that_changes_its_form_is_refused_with_the_leaf(first, then, told):
    with pytest.raises(OptimizerError, match=f"optimizer 'mine': of its state {told}") as refused:
        one_step(stateful(first, then))
    assert "\n" not in str(refused.value)


def test_what_is_compiled_into_a_state_may_not_change_unseen():
    before, after = jax.tree_util.Partial(halved, 1), jax.tree_util.Partial(abs, 1)
    with pytest.raises(OptimizerError, match="what is compiled into it changes: it is a Partial"):
        one_step(stateful(before, lambda state: after))


def test_a_wrong_update_names_its_leaf():
    made = optax.GradientTransformation(
        lambda p: (), lambda g, s, p=None: ({"w": g["w"][0], "b": g["b"]}, s)
    )
    told = r"of its updates \['w'\] is float32\[2, 3\] at first, float32\[3\] later"
    with pytest.raises(OptimizerError, match=told):
        one_step(made)


class Duck:
    """Has what a transformation has."""

    def init(self, params):
        return ()

    def update(self, grads, state, params=None):
        return halved(grads), state


def test_what_has_init_and_update_is_a_transformation_and_a_class_is_not():
    for made in (Duck(), optax.MultiSteps(optax.sgd(0.5), 1), optax.sgd(0.5)):
        updates, _ = one_step(as_transformation(made))
        assert updates["b"].tolist() == [-0.5] * 3
    assert as_transformation(Duck) is None
    assert as_transformation(3) is None
