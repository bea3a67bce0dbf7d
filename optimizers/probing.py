"""Trying an optimizer on a small network: which numbers can be traced, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optimizers.fitting import OptimizerError, fitted
from optimizers.importing import describe
from optimizers.spec import Hyperparameter, Value

STEPS = 1000  # the length of the run that a rule is tried for
_SOME_NUMBER = 0.5  # for a hyperparameter whose default is None

Build = Callable[..., optax.GradientTransformation]  # (**hyperparameters)


class Probed(NamedTuple):
    """What was found out.

    static: the numbers that cannot be traced, by name.
    state: shapes of the state after a step; None where no step could be taken.
    problem: why none could.
    """

    static: frozenset[str]
    state: optax.OptState | None
    problem: OptimizerError | None


def small_network() -> optax.Params:
    """Parameters named as those of a small actor-critic."""

    def layer(inputs: int, outputs: int) -> dict[str, Any]:
        return {"kernel": jnp.zeros((inputs, outputs)), "bias": jnp.zeros(outputs)}

    torso = {"Dense_0": layer(4, 3), "Dense_1": layer(3, 3)}
    return {
        "actor_head": {"Dense_0": layer(3, 2)},
        "actor_torso": torso,
        "critic_head": {"Dense_0": layer(3, 1)},
        "critic_torso": torso,
    }


def probe(name: str, build: Build, hyperparameters: Collection[Hyperparameter]) -> Probed:
    """Trace one step, with as many numbers traced as can be.

    A rule may refuse the small network and serve another: what building alone tells is found out
    then, and the problem is handed back for somebody to say so.

    Raises:
        OptimizerError: no learner can serve the rule.
    """
    values = {h.name: h.default for h in hyperparameters}
    numbers = {h.name: jnp.float32(h.default) for h in hyperparameters if h.traced}

    def step(traced: Mapping[str, Value]) -> optax.OptState:
        rule = fitted(build(**{**values, **traced}), name)
        params = jax.tree.map(jnp.zeros_like, small_network())
        return rule.update(params, rule.init(params), params, value=jnp.float32(0))[1]

    def only_build(traced: Mapping[str, Value]) -> None:
        build(**{**values, **traced})

    state = _traced(step, numbers)
    problem = None
    if isinstance(state, Exception):
        attempt = _traced(step, {})
        if isinstance(attempt, Exception):
            problem = _explained(name, attempt)
    tried = only_build if problem else step

    def fails(traced: Mapping[str, Value]) -> bool:
        return isinstance(_traced(tried, traced), Exception)

    static = set()
    if isinstance(state, Exception) and fails(numbers):
        static = {number for number in numbers if fails({number: numbers[number]})}
        if fails({k: v for k, v in numbers.items() if k not in static}):
            static = set(numbers)
    numeric = {h.name for h in hyperparameters if h.default is None and h.types == (float,)}
    optional = set() if problem else numeric
    static |= {h.name for h in hyperparameters if h.default is None and h.name not in optional}
    static |= {number for number in optional if fails({number: jnp.float32(_SOME_NUMBER)})}
    found = None if problem else (_traced(step, {}) if isinstance(state, Exception) else state)
    return Probed(frozenset(static), found, problem)


def first_state(name: str, build: Build, hyperparameters: Collection[Hyperparameter]) -> Probed:
    """The state of a rule with its defaults, before any step."""
    values = {h.name: h.default for h in hyperparameters}
    state = _traced(lambda _: fitted(build(**values), name).init(small_network()), {})
    if isinstance(state, Exception):
        return Probed(frozenset(), None, _explained(name, state))
    return Probed(frozenset(), state, None)


def _traced(function: Callable[[Mapping[str, Value]], Any], traced: Mapping[str, Value]) -> Any:
    """The shapes that it returns, or what it raised."""
    try:
        return jax.eval_shape(function, dict(traced))
    except Exception as error:
        return error


def _explained(name: str, error: Exception) -> OptimizerError:
    """The problem of a step without traced numbers; raises it where it is certain."""
    if isinstance(error.__cause__, jax.errors.ConcretizationTypeError):
        raise OptimizerError(
            f"optimizer '{name}' cannot take a step: it decides in Python by a number of its "
            "gradients or state, which has no value while it is compiled. optax.inject_hyperparams "
            "puts every number and bool into the state: name those in its static_args"
        ) from error
    if not isinstance(error, OptimizerError):
        return OptimizerError(f"optimizer '{name}': {describe(error)}", certain=False)
    if error.certain:
        raise error
    return error
