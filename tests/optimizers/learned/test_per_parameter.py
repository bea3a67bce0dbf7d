"""The fused per-parameter networks equal their definition: a row per parameter, a column each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optimizers.learned.parts import per_parameter
from optimizers.learned.parts.accumulators import (
    Diagonal,
    factored_axes,
    init_factored,
    init_momenta,
    init_second_moment,
    update_factored,
    update_momenta,
    update_second_moment,
)
from optimizers.learned.parts.per_parameter import Leaf, Mlp, evaluate

NAMES = (
    *("g", "clip_g", "p", "m", "r", "m_s", "s", "fac_g", "g_s"),
    *("row", "col", "rsqrt_row", "rsqrt_col", "fac_m"),
)
DIAGONAL_EPS = 1e-6
SHAPES = [(), (9,), (4, 6), (5, 1), (3, 5, 4), (2, 3, 4, 5)]


def make_leaf(shape, seed=0):
    g, p, before = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    g, p, before = jnp.asarray(0.3 * g), jnp.asarray(p), jnp.asarray(before)
    m, r, v = init_momenta(p), init_second_moment(p), init_factored(p)
    for grad in (before, g):
        m, v = update_momenta(m, grad), update_factored(v, grad)
        r = update_second_moment(r, grad, 0.999)
    return Leaf(g, p, m, r, v)


def make_mlp(hidden, seed=1):
    normal = np.random.default_rng(seed).normal
    shapes = [(30, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, 3), (3,)]
    return Mlp(*(jnp.asarray(normal(size=shape), jnp.float32) for shape in shapes))


def defined(leaf, mlp):
    """The network in float64 on an array [*leaf, 30]."""
    g, p, m, r = (np.float64(x) for x in leaf[:4])
    m, r = np.moveaxis(m, 0, -1), r[..., None]
    if isinstance(leaf.factored, Diagonal):
        v = np.moveaxis(np.float64(leaf.factored.v), 0, -1)
        scale, row, col = 1 / np.sqrt(np.maximum(v + 1e-9, 1e-9)), v, v
        fac_m = m / np.sqrt(v + DIAGONAL_EPS)
    else:
        row, col = (np.moveaxis(np.float64(x), 0, -1) for x in leaf.factored)
        mean = row.mean(factored_axes(g.shape)[0], keepdims=True)
        scale = 1 / np.sqrt(np.maximum(row / (mean + 1e-9), 1e-9) * np.maximum(col, 1e-9))
        fac_m = m * scale
    s, g, p = 1 / np.sqrt(r + 1e-6), g[..., None], p[..., None]
    columns = [g, np.clip(g, -0.1, 0.1), p, m, r, m * s, s, g * scale, g * s, row, col]
    columns += [1 / np.sqrt(row + 1e-8), 1 / np.sqrt(col + 1e-8), fac_m]
    x = np.concatenate(
        [np.broadcast_to(column, (*leaf.g.shape, column.shape[-1])) for column in columns], -1
    )
    x = x / np.sqrt(1e-5 + np.mean(x * x, tuple(range(x.ndim - 1)), keepdims=True))
    weights = [np.float64(w) for w in mlp]
    for w, b in zip(weights[:4:2], weights[1:4:2], strict=True):
        x = np.maximum(x @ w + b, 0)
    return np.moveaxis(x @ weights[4] + weights[5], -1, 0)


@pytest.mark.parametrize(
    ("chunk", "hidden"), [(4096, 4), (3, 4), (3, 12)], ids=["small leaf", "narrow", "wide"]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_ways_of_computing_equal_the_definition(monkeypatch, shape, chunk, hidden):
    monkeypatch.setattr(per_parameter, "_CHUNK", chunk)
    leaf, mlp = make_leaf(shape), make_mlp(hidden)
    outputs = jax.jit(lambda *args: evaluate(*args, NAMES, diagonal_eps=DIAGONAL_EPS))(leaf, mlp)
    expected = defined(leaf, mlp)
    assert [x.shape for x in outputs] == [shape] * 3
    np.testing.assert_allclose(jnp.stack(outputs), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("hidden", [4, 12], ids=["narrow", "wide"])
def test_leaves_of_a_population_equal_leaves_alone(monkeypatch, hidden):
    monkeypatch.setattr(per_parameter, "_CHUNK", 4)
    leaves, mlp = [make_leaf((5, 4), seed) for seed in range(2)], make_mlp(hidden)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *leaves)

    def network(leaf):
        return evaluate(leaf, mlp, NAMES, diagonal_eps=DIAGONAL_EPS)

    together = jax.jit(jax.vmap(network))(stacked)
    for i, leaf in enumerate(leaves):
        alone = defined(leaf, mlp)
        np.testing.assert_allclose([x[i] for x in together], alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize(("hidden", "copies"), [(4, 4), (12, 15)], ids=["narrow", "wide"])
def test_no_array_of_parameters_by_features(hidden, copies):
    """Temporary memory in multiples of the leaf; the definition takes 30 for features alone."""
    leaf, mlp = make_leaf((256, 512)), make_mlp(hidden)
    compiled = (
        jax.jit(lambda *args: evaluate(*args, NAMES, diagonal_eps=DIAGONAL_EPS))
        .lower(leaf, mlp)
        .compile()
    )
    assert compiled.memory_analysis().temp_size_in_bytes < copies * leaf.g.nbytes
