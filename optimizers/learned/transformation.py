"""What the learned rules share around their networks: averages, checks of arguments, dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from optimizers.learned.parts.accumulators import (
    DECAYS,
    Decays,
    init_factored,
    init_momenta,
    init_second_moment,
    update_factored,
    update_momenta,
    update_second_moment,
)
from optimizers.learned.parts.per_parameter import Leaf

SECOND_MOMENT_DECAY = 0.999


class Averages(NamedTuple):
    """Running averages of the gradients; trees like the parameters, float32."""

    momenta: optax.Updates
    second: optax.Updates
    factored: Any


def transformation(
    name: str,
    init: Callable[[optax.Params], Any],
    step: Callable[..., tuple[list[Any], Any]],
    *,
    needs_loss: bool,
) -> optax.GradientTransformationExtraArgs:
    """A learned rule as a transformation: `update` needs `params` and, for some, `value`, the loss.

    Args:
        name: of the rule, for its errors.
        init: the state for some parameters.
        step: (grads, state, params[, loss=loss]), all float32, to what is subtracted from every
            leaf, in tree order, and the new state. Not called for a tree without leaves, such as
            a part of another tree may be.
        needs_loss: whether `step` takes the loss.

    `update` raises ValueError at trace time where the parameters or the loss are missing.
    """

    def update(
        grads: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        value: ArrayLike | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del extra_args
        p = required_params(name, params)
        if not jax.tree.leaves(p):
            return grads, state
        loss = {"loss": required_loss(name, value)} if needs_loss else {}
        steps, new_state = step(float32(grads), state, p, **loss)
        return as_updates(steps, params), new_state

    return optax.GradientTransformationExtraArgs(init, update)


def init_averages(params: optax.Params) -> Averages:
    inits = (init_momenta, init_second_moment, init_factored)
    return Averages(*(jax.tree.map(init, params) for init in inits))


def update_averages(
    averages: Averages,
    grads: optax.Updates,
    momentum: Decays = DECAYS,
    second: ArrayLike = SECOND_MOMENT_DECAY,
    factored: Decays = DECAYS,
) -> Averages:
    return Averages(
        jax.tree.map(lambda g, m: update_momenta(m, g, momentum), grads, averages.momenta),
        jax.tree.map(lambda g, r: update_second_moment(r, g, second), grads, averages.second),
        jax.tree.map(lambda g, v: update_factored(v, g, factored), grads, averages.factored),
    )


def leaves_with_averages(
    grads: optax.Updates, params: optax.Params, averages: Averages
) -> list[Leaf]:
    """One `Leaf` per parameter leaf, in tree order."""
    tree = jax.tree.map(Leaf, grads, params, *averages)
    return jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Leaf))


def clipped(grads: optax.Updates) -> optax.Updates:
    """Within +-1000, as VeLO, Celo and Celo-Adam see gradients."""
    return jax.tree.map(lambda g: jnp.clip(g, -1000.0, 1000.0), grads)


def float32(tree: Any) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


def as_updates(steps: list[Any], params: optax.Params) -> optax.Updates:
    """What is added to `params` to subtract `steps` from them, in their dtypes."""
    leaves, treedef = jax.tree.flatten(params)
    updates = [-step.astype(p.dtype) for step, p in zip(steps, leaves, strict=True)]
    return jax.tree.unflatten(treedef, updates)


def required_params(name: str, params: optax.Params | None) -> optax.Params:
    """The parameters in float32; raises at trace time when they are missing."""
    if params is None:
        raise ValueError(f"{name} needs the parameters: opt.update(grads, state, params, ...)")
    return float32(params)


def required_loss(name: str, value: ArrayLike | None) -> Float[Array, ""]:
    """The loss in float32; raises at trace time when it is missing or not one number."""
    if value is None:
        raise ValueError(f"{name} needs the loss: opt.update(grads, state, params, value=loss)")
    if jnp.ndim(value):
        raise ValueError(f"{name}: value must be a scalar loss, got shape {jnp.shape(value)}")
    return jnp.asarray(value, jnp.float32)


def check_horizon(name: str, num_steps: ArrayLike | None) -> None:
    """Raises when the length of the run is missing or, where it can be known, below 1."""
    if num_steps is None:
        raise ValueError(f"{name} needs num_steps, the number of gradient steps of the whole run")
    if isinstance(num_steps, (int, float)) and num_steps < 1:
        raise ValueError(f"{name}: num_steps must be at least 1, got {num_steps}")
