"""The network of Celo2: from what is known of one parameter leaf to a direction for it.

The definition asks for a row per parameter and a column per feature. Except for small leaves that
array is never built: a feature is an expression that XLA fuses into whoever reads it, once into
the mean square that normalises it and once into the network, whose layers are unrolled into sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from optimizers.learned.parts.accumulators import Diagonal, Factored, factored_scales
from optimizers.learned.parts.channels import product, sums
from optimizers.learned.parts.features import elementwise_features, factored_features

# The i-th is read by slab `w0__i` of the weights; leaves of rank <= 1 have none from `row` on.
_FEATURES = (
    *("g", "clip_g", "p", "m", "r", "m_s", "s", "fac_g", "g_s"),
    *("row", "col", "rsqrt_row", "rsqrt_col", "fac_m"),
)
_SECOND_MOMENT_EPS = 1e-8
_RMS_EPS = 1e-9
# Below, the features of all parameters at once are a small array and far less to compile.
UNROLLED_SIZE = 4096

Weights = Mapping[str, Array]  # theta["ff_mod_stack"]["~"]
Operands = tuple[Array, Array, Array, Array, Array, Array | None]
Features = Mapping[str, Array]


def direction(
    weights: Weights,
    g: Float[Array, "*leaf"],
    p: Float[Array, "*leaf"],
    m: Float[Array, "decay ..."],
    r: Float[Array, "*leaf"],
    v: Factored | Diagonal,
    fused_from: int,
) -> Float[Array, "*leaf"]:
    """The network's first output, the only one that moves a parameter; of any scale.

    Takes the clipped gradient, the parameter before the step and all averages after it. Leaves of
    fewer than `fused_from` parameters have an array of features, larger ones do not.
    """
    operands = (g, p, r, m, *factored_scales(v, g.shape))
    network = _unrolled if g.size >= fused_from else _dense
    return network(weights, operands, factored_features(v))


def unit_rms(x: Float[Array, ...], leaf_rank: int) -> Float[Array, ...]:
    """`x` over its root mean square along the last two axes of the leaf (one, if it has one)."""
    mean = jnp.mean(x * x, _last_two_axes(leaf_rank), keepdims=True)
    return x * jax.lax.rsqrt(_RMS_EPS + mean)


def _dense(weights: Weights, operands: Operands, factored: Features) -> Float[Array, "*leaf"]:
    leaf = operands[0].shape
    features = elementwise_features(*operands, eps=_SECOND_MOMENT_EPS) | dict(factored)
    channels = [_by_channel(x, len(leaf)) for x in features.values()]
    x = jnp.concatenate([jnp.broadcast_to(x, (len(x), *leaf)) for x in channels])
    x = product(_slabs(weights, features), unit_rms(x, len(leaf))) + _column(weights["b0"], leaf)
    for w, b in _upper_layers(weights):
        x = product(w, jax.nn.relu(x)) + _column(b, leaf)
    return x[0]


def _unrolled(weights: Weights, operands: Operands, factored: Features) -> Float[Array, "*leaf"]:
    units = list(weights["b0"])
    for names in (("row", "rsqrt_row"), ("col", "rsqrt_col")) if factored else ():
        x = unit_rms(jnp.concatenate([factored[name] for name in names]), operands[0].ndim)
        y = product(_slabs(weights, names), x)
        units = [unit + y[j] for j, unit in enumerate(units)]
    features, channels = _normalised(operands)
    units = sums(channels, _slabs(weights, features), units)
    for w, b in _upper_layers(weights):
        units = sums([jax.nn.relu(x) for x in units], w, b)
    return units[0]


def _normalised(operands: Operands) -> tuple[list[str], list[Float[Array, "*leaf"]]]:
    """The names of the elementwise features, and their channels at unit RMS."""
    rank, axes = operands[0].ndim, _last_two_axes(operands[0].ndim)
    # Two values to XLA: told that means and network want the same, it would store every feature.
    operands, (g, p, r, m, R, C) = jax.lax.optimization_barrier((operands, operands))
    features = elementwise_features(*operands, eps=_SECOND_MOMENT_EPS)
    squares = [jnp.sum(x * x, axes, keepdims=True) for x in features.values()]
    count = math.prod(g.shape[axis] for axis in axes)
    mean = jnp.concatenate([_by_channel(x, rank) for x in squares]) / count
    scales = jax.lax.rsqrt(_RMS_EPS + mean)
    decays = [
        elementwise_features(
            g, p, r, m[k], R[k], None if C is None else C[k], eps=_SECOND_MOMENT_EPS
        )
        for k in range(len(m))
    ]
    channels = [
        decay[name]
        for name, x in features.items()
        for decay in (decays if x.ndim > rank else decays[:1])
    ]
    return list(features), [x * scale for x, scale in zip(channels, scales, strict=True)]


def _slabs(weights: Weights, features: Iterable[str]) -> Float[Array, "channel unit"]:
    """First-layer weights of these features, in their order."""
    return jnp.concatenate([weights[f"w0__{_FEATURES.index(name)}"] for name in features])


def _upper_layers(weights: Weights) -> tuple[tuple[Array, Array], ...]:
    return (weights["w1"], weights["b1"]), (weights["w2"][:, :1], weights["b2"][:1])


def _by_channel(x: Array, leaf_rank: int) -> Float[Array, "channel ..."]:
    """`x` with a first axis for channels, also if it is a single one."""
    return x.reshape(-1, *x.shape[x.ndim - leaf_rank :])


def _column(b: Float[Array, " unit"], leaf: tuple[int, ...]) -> Array:
    return b.reshape(-1, *(1,) * len(leaf))


def _last_two_axes(rank: int) -> tuple[int, ...]:
    return tuple(range(-min(rank, 2), 0))
