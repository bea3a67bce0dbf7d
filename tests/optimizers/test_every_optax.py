"""Every constructor of optax that needs nothing but a learning rate trains, or says why not.

The list is made from what is installed, so that a new optax shows what it brings.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import cartpole
import jax
import jax.numpy as jnp
import optax
import pytest

import optimizers
from optimizers.fitting import OptimizerError
from optimizers.references import OptimizerWarning

STEPS = 512
REFUSED = {  # by what the one line must tell
    "optax:lbfgs": "no value_fn; a line search evaluates the loss again: use linesearch=None",
    "optax.contrib:sophia": "a learner hands over no function of the loss",
    "optax.contrib:hutchinson_estimator_diag_hessian": "a learner hands over no function",
}
FOR_MATRICES = {"optax.contrib:scale_by_muon"}  # trains networks without biases alone
STILL = {"optax:set_to_zero"}

# What optax says of its own future; a warning of ours stays an error.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:optax", "ignore::DeprecationWarning:optax"
)


def built(constructor: Callable[..., Any], rates: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return constructor(*[1e-3] * rates)
        except ValueError:  # optax.chain of nothing
            return None


def constructors() -> Iterator[str]:
    """`module:name` of all that return a transformation when called with a rate or nothing."""
    for module in (optax, optax.contrib):
        for name, found in sorted(vars(module).items()):
            if name.startswith("_") or not inspect.isfunction(found):
                continue
            required = [
                parameter
                for parameter in inspect.signature(found).parameters.values()
                if parameter.default is parameter.empty
                and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            ]
            if all(parameter.name in ("learning_rate", "lr") for parameter in required):
                made = built(found, len(required))
                if isinstance(made, optax.GradientTransformation):
                    yield f"{module.__name__}:{name}"


NAMES = list(constructors())


def test_the_list_is_that_of_a_whole_optax():
    assert len(NAMES) > 80
    assert {"optax:adafactor", "optax.contrib:muon", "optax:polyak_sgd"} <= set(NAMES)
    assert set(REFUSED) | FOR_MATRICES | STILL <= set(NAMES), "a name that optax no longer has"


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_learner_can_serve_is_refused_with_the_reason(name):
    with pytest.raises(OptimizerError, match=REFUSED[name]) as refused:
        optimizers.get(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", FOR_MATRICES)
def test_what_does_not_fit_the_network_is_warned_of_and_refused_with_the_reason(name):
    with pytest.warns(OptimizerWarning, match="has not the form of the network's parameters"):
        spec = optimizers.get(name)
    with pytest.raises(OptimizerError, match="has not the form") as refused:
        cartpole.train(spec, STEPS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in {*REFUSED, *FOR_MATRICES}])
def test_all_others_train(name):
    first, last = cartpole.train(optimizers.get(name), STEPS)
    leaves = jax.tree.leaves(last)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)
    moved = any(bool((a != b).any()) for a, b in zip(leaves, jax.tree.leaves(first), strict=True))
    assert moved != (name in STILL)
