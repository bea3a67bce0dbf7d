"""The per-parameter networks of VeLO, Celo, small_fc_lopt and muLO, without a feature array.

Their definition asks for a row per parameter and a column per feature: 30 times the memory of the
parameters. Except for small leaves that array is never built. The normaliser of a feature is
folded into the first layer's weights; a narrow network is unrolled into sums that XLA fuses with
the features, a wide one runs over slices of the leaf.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from optimizers.learned.parts.accumulators import Diagonal, Factored, factored_scales
from optimizers.learned.parts.channels import product, sums
from optimizers.learned.parts.features import elementwise_features, factored_features

_SECOND_MOMENT_EPS = 1e-6
_RMS_EPS = 1e-5
_WIDEST_UNROLLED = 8
_CHUNK = 4096  # parameters whose features may exist at one time
_PER_DECAY = ("m", "m_s", "fac_g", "fac_m")


class Leaf(NamedTuple):
    """What a rule knows of one parameter leaf; averages after this step's gradient."""

    g: Float[Array, "*leaf"]
    p: Float[Array, "*leaf"]
    momenta: Float[Array, "3 ..."]
    second: Float[Array, "*leaf"]
    factored: Factored | Diagonal


class Mlp(NamedTuple):
    """A relu network with two hidden layers."""

    w0: Float[Array, "channel unit"]
    b0: Float[Array, " unit"]
    w1: Float[Array, "unit unit"]
    b1: Float[Array, " unit"]
    w2: Float[Array, "unit out"]
    b2: Float[Array, " out"]


class _Operands(NamedTuple):
    """What features are made of; `given` are those that no element has to itself."""

    g: Array
    p: Array
    r: Array
    m: Array
    R: Array
    C: Array | None
    given: dict[str, Array]


def evaluate(
    leaf: Leaf,
    mlp: Mlp,
    names: Sequence[str],
    *,
    diagonal_eps: float,
    unrolled_size: int | None = None,
) -> list[Float[Array, "*leaf"]]:
    """The outputs of the network for every parameter of a leaf, whatever its rank.

    Args:
        leaf: all float32.
        mlp: the leaf's network.
        names: the features it reads, in the order of `mlp.w0`.
        diagonal_eps: added to the second moment that divides the momenta of rank <= 1 leaves.
        unrolled_size: parameters from which the features of a leaf are not stored; None for more
            than 4096.
    """
    operands = _operands(leaf, diagonal_eps)
    if leaf.g.size < (_CHUNK + 1 if unrolled_size is None else unrolled_size):
        x = _stacked(operands, names)
        return list(_dense(x, _folded(mlp, _inverse_rms(x, leaf.g.ndim))))
    # Two values to XLA: told that means and network want the same, it would store every feature.
    operands, again = jax.lax.optimization_barrier((operands, operands))
    scales = [_inverse_rms(x, leaf.g.ndim) for x in _features(again, names)]
    mlp = jax.lax.optimization_barrier(_folded(mlp, jnp.concatenate(scales)))
    network = _unrolled if len(mlp.b0) <= _WIDEST_UNROLLED else _sliced
    return network(operands, names, mlp)


def _operands(leaf: Leaf, diagonal_eps: float) -> _Operands:
    g, p, m, r, v = leaf
    R, C = factored_scales(v, g.shape)
    given = factored_features(v)
    if isinstance(v, Diagonal):  # it stands in for rows and columns, and has its own fac_m
        inverse_root = jax.lax.rsqrt(v.v + 1e-8)
        given = {"row": v.v, "col": v.v, "rsqrt_row": inverse_root, "rsqrt_col": inverse_root}
        given["fac_m"] = m * jax.lax.rsqrt(v.v + diagonal_eps)
    return _Operands(g, p, r, m, R, C, given)


def _features(operands: _Operands, names: Iterable[str]) -> list[Float[Array, "channel ..."]]:
    """Raw features, each of one channel or of one per decay."""
    g, p, r, m, R, C, given = operands
    features = elementwise_features(g, p, r, m, R, C, eps=_SECOND_MOMENT_EPS) | given
    wanted = [features[name] for name in names]
    return [x.reshape(-1, *x.shape[x.ndim - operands.g.ndim :]) for x in wanted]


def _inverse_rms(x: Float[Array, "channel ..."], rank: int) -> Float[Array, " channel"]:
    return jax.lax.rsqrt(_RMS_EPS + jnp.mean(x * x, tuple(range(-rank, 0))))


def _folded(mlp: Mlp, scales: Float[Array, " channel"]) -> Mlp:
    """The network that takes features times `scales`, for features as they are."""
    return mlp._replace(w0=scales[:, None] * mlp.w0)


def _stacked(operands: _Operands, names: Iterable[str]) -> Float[Array, "channel ..."]:
    leaf = operands.g.shape
    features = _features(operands, names)
    return jnp.concatenate([jnp.broadcast_to(x, (len(x), *leaf)) for x in features])


def _dense(x: Float[Array, "channel ..."], mlp: Mlp) -> Float[Array, "out ..."]:
    def layer(x: Array, w: Array, b: Array) -> Array:
        return product(w, x) + b.reshape(-1, *(1,) * (x.ndim - 1))

    x = jax.nn.relu(layer(x, mlp.w0, mlp.b0))
    return layer(jax.nn.relu(layer(x, mlp.w1, mlp.b1)), mlp.w2, mlp.b2)


def _unrolled(operands: _Operands, names: Sequence[str], mlp: Mlp) -> list[Float[Array, "*leaf"]]:
    leaf, channels = operands.g.shape, _channels(operands, names)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for k, x in enumerate(channels):
        by_shape.setdefault(x.shape, []).append(k)
    whole = by_shape.pop(leaf)
    units = list(mlp.b0)
    for ks in by_shape.values():  # constant along an axis
        y = product(mlp.w0[jnp.array(ks)], jnp.stack([channels[k] for k in ks]))
        units = [unit + y[j] for j, unit in enumerate(units)]
    units = sums([channels[k] for k in whole], mlp.w0[jnp.array(whole)], units)
    units = sums([jax.nn.relu(x) for x in units], mlp.w1, list(mlp.b1))
    return sums([jax.nn.relu(x) for x in units], mlp.w2, list(mlp.b2))


def _channels(operands: _Operands, names: Iterable[str]) -> list[Array]:
    """Features channel by channel, each an expression of its own."""
    g, p, r, m, R, C, given = operands
    decays = [
        elementwise_features(
            g, p, r, m[k], R[k], None if C is None else C[k], eps=_SECOND_MOMENT_EPS
        )
        for k in range(len(m))
    ]
    channels: list[Array] = []
    for name in names:
        if name in given:
            channels += list(given[name])
        else:
            channels += [decay[name] for decay in (decays if name in _PER_DECAY else decays[:1])]
    return channels


def _sliced(operands: _Operands, names: Sequence[str], mlp: Mlp) -> list[Float[Array, "*leaf"]]:
    """Slices along the longest axis, so many at once as fill a chunk."""
    leaf = operands.g.shape
    axis = max(range(len(leaf)), key=leaf.__getitem__)
    arrays, treedef = jax.tree.flatten(operands)
    axes = [axis + x.ndim - len(leaf) for x in arrays]
    varies = [x.shape[a] == leaf[axis] for x, a in zip(arrays, axes, strict=True)]

    def network_on(slices: list[Array]) -> tuple[Array, ...]:
        rest = iter(slices)
        here = [
            next(rest) if moves else jnp.take(x, 0, a)
            for x, a, moves in zip(arrays, axes, varies, strict=True)
        ]
        return tuple(_dense(_stacked(jax.tree.unflatten(treedef, here), names), mlp))

    moving = [
        jnp.moveaxis(x, a, 0) for x, a, moves in zip(arrays, axes, varies, strict=True) if moves
    ]
    at_once = max(1, _CHUNK * leaf[axis] // operands.g.size)
    outputs = jax.lax.map(network_on, moving, batch_size=min(at_once, leaf[axis]))
    return [jnp.moveaxis(x, 0, axis) for x in outputs]
