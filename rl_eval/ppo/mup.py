"""Maximal-update parametrisation of the PPO networks: widths that train alike at one step size.

Yang et al., Tensor Programs V (arXiv 2203.03466), table 8, whose step sizes are those of Adam and,
after Therien et al. (arXiv 2406.00153), of muLO. Widths count relative to a base network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Shaped

from rl_eval.ppo.networks import Activations, Network, Params

HEADS = ("actor_head", "critic_head")


class Mup(NamedTuple):
    """network: with the initialisation and output multipliers of muP.

    multipliers: a tree like the parameters, of factors on the step size of each leaf.
    """

    network: Network
    multipliers: Any


class _Leaf(NamedTuple):
    """What muP makes of one parameter: factors on its first value and on its steps."""

    start: float
    step: float


def parametrise(network: Network, base: Network) -> Mup:
    """`network` under muP, such that the network `base` would be left as it is.

    Both have the same layers, with other numbers of units.

    Raises:
        ValueError: they differ in more than their widths.
    """
    shapes, base_shapes = (jax.eval_shape(n.init, jax.random.key(0)) for n in (network, base))
    if len({jax.tree.structure(shapes), jax.tree.structure(base_shapes)}) > 1:
        raise ValueError("muP needs networks of the same layers; these differ in more than width")
    leaves = jax.tree.map(lambda x, y: _leaf(x.shape, y.shape), shapes, base_shapes)
    starts, steps = (
        jax.tree.map(lambda leaf, f=field: getattr(leaf, f), leaves, is_leaf=_is_leaf)
        for field in _Leaf._fields
    )
    logits_scale, value_scale = (
        base_shapes[head]["Dense_0"]["kernel"].shape[0] / shapes[head]["Dense_0"]["kernel"].shape[0]
        for head in HEADS
    )

    def init(key: jax.Array) -> Params:
        return jax.tree.map(lambda x, factor: x * factor, network.init(key), starts)

    def apply(params: Params, prepared: Array) -> tuple[Array, Array]:
        logits, value = network.apply(params, prepared)
        return logits * logits_scale, value * value_scale

    def apply_recorded(params: Params, prepared: Array) -> tuple[tuple[Array, Array], Activations]:
        (logits, value), activations = network.apply_recorded(params, prepared)
        return (logits * logits_scale, value * value_scale), activations

    return Mup(Network(init, network.prepare, apply, apply_recorded), steps)


def coordinate_check(
    make: Callable[[int], tuple[Network, optax.GradientTransformationExtraArgs]],
    widths: Sequence[int],
    obs: Shaped[Array, "batch ..."],
    action: Int[Array, " batch"],
    target: Float[Array, " batch"],
    steps: int = 5,
) -> dict[str, list[float]]:
    """RMS of every layer's output, and of both outputs, after a few steps, by width.

    Flat against width under muP, once the steps outweigh the first outputs (1/sqrt(width));
    with other parametrisations some layer grows or fades.
    `make(width)` gives the network and its optimizer.
    """
    curves: dict[str, list[float]] = {}
    for width in widths:
        network, optimizer = make(width)
        x = network.prepare(obs)
        params = _trained(network, optimizer, x, action, target, steps)
        (logits, value), recorded = network.apply_recorded(params, x)
        named = jax.tree_util.tree_flatten_with_path(recorded)[0]
        outputs = {jax.tree_util.keystr(p, simple=True, separator="/"): x for p, x in named}
        torsos = {name: x for name, x in outputs.items() if not name.startswith(HEADS)}
        for name, x in {**torsos, "logits": logits, "value": value}.items():
            curves.setdefault(name, []).append(float(jnp.sqrt(jnp.mean(jnp.square(x)))))
    return curves


def _trained(
    network: Network,
    optimizer: optax.GradientTransformationExtraArgs,
    x: Array,
    action: Int[Array, " batch"],
    target: Float[Array, " batch"],
    steps: int,
) -> Params:
    """Parameters after a few steps towards fixed actions and values."""

    def loss(params: Params) -> Array:
        logits, value = network.apply(params, x)
        chosen = optax.softmax_cross_entropy_with_integer_labels(logits, action)
        return jnp.mean(chosen + jnp.square(value - target))

    @jax.jit
    def step(params: Params, state: optax.OptState) -> tuple[Params, optax.OptState]:
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, value=value)
        return optax.apply_updates(params, updates), state

    params = network.init(jax.random.key(0))
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params


def _leaf(shape: tuple[int, ...], base: tuple[int, ...]) -> _Leaf:
    if len(shape) < 2:
        return _Leaf(1.0, 1.0)
    fan_in, base_in = math.prod(shape[:-1]), math.prod(base[:-1])
    narrower = base_in / fan_in
    hidden = fan_in != base_in and shape[-1] != base[-1]
    # Entries of an orthogonal matrix have variance 1 / its longer side.
    longer = max(fan_in, shape[-1]) / max(base_in, base[-1])
    return _Leaf(math.sqrt(longer * (narrower if hidden else 1.0)), narrower if hidden else 1.0)


def _is_leaf(x: Any) -> bool:
    return isinstance(x, _Leaf)
