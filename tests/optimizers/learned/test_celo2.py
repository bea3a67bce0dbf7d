"""Celo2 against its definition, and what users and meta-training do with it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optimizers import weights
from optimizers.learned.celo2 import (
    CELO2,
    CELO2_BASE,
    celo2,
    celo2_base,
    celo2_routing,
    scale_by_celo2,
)
from optimizers.learned.parts.accumulators import factored_axes

TREE = {"conv": {"kernel": (2, 2, 3, 4), "bias": (4,)}, "head": {"kernel": (4, 2)}, "scale": ()}
NATURE = {
    "conv0": (8, 8, 4, 32),
    "conv1": (4, 4, 32, 64),
    "conv2": (3, 3, 64, 64),
    "dense": (3136, 512),
    "policy": (512, 6),
    "value": (512, 1),
}


def theta(seed=0):
    """Random weights, biases too."""
    rng = np.random.default_rng(seed)
    leaves = {
        path[-1]: np.float32(0.3 * rng.standard_normal(shape))
        for path, shape in weights.TEMPLATES["celo2"].items()
    }
    return {"ff_mod_stack": {"~": leaves}}


def normal(shapes, seed, scale=1.0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(scale * rng.standard_normal(shape), dtype),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def first_updates(opt, grads, params):
    return jax.jit(lambda: opt.update(grads, opt.init(params), params)[0])()


def assert_trees_close(left, right, atol=1e-6, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=rtol), left, right)


# --- the definition, in float64 with a column per feature -----------------------------------------


class Definition:
    """One leaf; averages have a last axis for decays."""

    def __init__(self, theta, orthogonalize):
        self.w = {k: np.float64(x) for k, x in theta["ff_mod_stack"]["~"].items()}
        self.orthogonalize = orthogonalize
        self.m = self.r = self.row = self.col = 0.0

    def update(self, g, p):
        g, p = (np.clip(x, -1000, 1000) if x is g else x for x in (g, p))
        decays = np.float32([0.9, 0.99, 0.999])
        rms_decay, up = np.float32([0.95]), np.float64
        g1, p1 = up(g)[..., None], up(p)[..., None]
        self.m = up(decays) * self.m + up(1 - decays) * g1
        self.r = up(rms_decay) * self.r + up(1 - rms_decay) * g1**2
        q, rsqrt = g1**2 + 1e-30, lambda x: 1 / np.sqrt(x)
        s = rsqrt(self.r + 1e-8)
        if g.ndim >= 2:
            a, b = sorted(range(g.ndim), key=lambda axis: (g.shape[axis], axis))[-2:]
            self.row = up(decays) * self.row + up(1 - decays) * q.mean(b, keepdims=True)
            self.col = up(decays) * self.col + up(1 - decays) * q.mean(a, keepdims=True)
            R = rsqrt(np.maximum(self.row / (self.row.mean(a, keepdims=True) + 1e-9), 1e-9))
            scale = R * rsqrt(np.maximum(self.col, 1e-9))
            factored = [self.row, self.col, rsqrt(self.row + 1e-8), rsqrt(self.col + 1e-8)]
            factored.append(self.m * scale)
        else:
            self.row = up(decays) * self.row + up(1 - decays) * q
            scale, factored = rsqrt(np.maximum(self.row + 1e-9, 1e-9)), []
        features = [g1, np.clip(g1, -0.1, 0.1), p1, self.m, self.r, self.m * s, s, g1 * scale]
        features += [g1 * s, *factored]
        x = np.concatenate([np.broadcast_to(f, (*g.shape, f.shape[-1])) for f in features], -1)
        axes = tuple(range(g.ndim))[-2:]
        x = x * rsqrt(1e-9 + (x**2).mean(axes, keepdims=True))
        w0 = np.concatenate([self.w[f"w0__{i}"] for i in range(len(features))])
        h = np.maximum(x @ w0 + self.w["b0"], 0)
        h = np.maximum(h @ self.w["w1"] + self.w["b1"], 0)
        u = (h @ self.w["w2"] + self.w["b2"])[..., 0]
        if self.orthogonalize and g.ndim >= 2:
            u = newton_schulz(u)
        return u * rsqrt(1e-9 + (u**2).mean(axes, keepdims=True))


def newton_schulz(x):
    x = x / (np.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-8)
    for _ in range(5):
        s = x @ np.swapaxes(x, -1, -2)
        x = 3.4445 * x + (-4.775 * s + 2.0315 * s @ s) @ x
    return x


SHAPES = [
    *[(), (1,), (7,), (6, 6), (1, 5), (5, 1), (9, 4), (3, 8)],
    *[(4, 2, 4), (3, 3, 3), (1, 1, 2, 5), (3, 2, 5, 5), (6, 2, 3, 4)],
]


@pytest.mark.parametrize("network", ["dense", "unrolled"])
def test_direction_is_that_of_the_definition(network):
    size = {"dense": 10**9, "unrolled": 0}[network]
    assert_defined(SHAPES, orthogonalize=False, atol=2e-5, unrolled_size=size)


def test_orthogonalized_direction_is_that_of_the_definition():
    assert_defined([(7,), (9, 4), (3, 8), (3, 2, 5, 6)], orthogonalize=True, atol=2e-4)


def test_large_leaves_are_those_of_the_definition():
    assert_defined([(5000,), (96, 64), (2, 3, 40, 32)], orthogonalize=False, atol=2e-5)


def assert_defined(shapes, orthogonalize, atol, **settings):
    shapes = {str(shape): shape for shape in shapes}
    definitions = {name: Definition(theta(), orthogonalize) for name in shapes}
    opt = scale_by_celo2(theta(), orthogonalize, **settings)
    update, state = jax.jit(opt.update), opt.init(normal(shapes, 0))
    for step, scale in enumerate([1.0, 1e-3, 30.0, 2000.0]):
        params, grads = normal(shapes, 100 + step, 0.3), normal(shapes, step, scale)
        updates, state = update(grads, state, params)
        for name, definition in definitions.items():
            expected = definition.update(np.asarray(grads[name]), np.asarray(params[name]))
            np.testing.assert_allclose(
                updates[name], expected, atol=atol, rtol=0, err_msg=f"{name} step {step}"
            )


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        *[((10, 10), (0, 1)), ((24, 6), (1, 0)), ((5, 20), (0, 1)), ((8, 8, 4, 32), (1, 3))],
        *[((3, 3, 16, 16), (2, 3)), ((16, 4, 8), (2, 0)), ((6, 6, 6), (1, 2)), ((30, 1), (1, 0))],
        *[((12, 5, 12), (0, 2)), ((2, 5, 6, 3, 7), (2, 4)), ((4,), None), ((), None)],
    ],
)
def test_the_two_longest_axes_are_factored(shape, axes):
    assert factored_axes(shape) == axes


# --- as a transformation --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 4096])
def test_jit_changes_nothing(size):
    params, grads = normal({"w": (5, 4)}, 0), normal({"w": (5, 4)}, 1)
    opt = scale_by_celo2(theta(), unrolled_size=size)
    eager, _ = opt.update(grads, opt.init(params), params)
    assert_trees_close(eager, first_updates(opt, grads, params), atol=2e-5)


def test_traced_weights_may_be_vmapped():
    params, grads = normal(TREE, 0), normal(TREE, 1)

    def direction(theta):
        opt = scale_by_celo2(theta, orthogonalize=False)
        return opt.update(grads, opt.init(params), params)[0]

    thetas = [theta(seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *thetas)
    together, alone = jax.jit(jax.vmap(direction))(stacked), jax.jit(direction)
    for i, each in enumerate(thetas):
        assert_trees_close(jax.tree.map(lambda x, i=i: x[i], together), alone(each), atol=2e-5)


def test_learning_rates_may_be_vmapped_without_another_compilation():
    params, grads = normal(TREE, 0), normal(TREE, 1)

    @jax.jit
    @jax.vmap
    def step(rate):
        opt = celo2(rate, theta(), weight_decay=0.1, mult_1d=2.0)
        return opt.update(grads, opt.init(params), params)[0]

    updates = step(jnp.array([1e-3, 1e-2]))
    assert_trees_close(updates, step(jnp.array([1e-3, 1e-2])))
    assert_trees_close(
        jax.tree.map(lambda x: 10 * x[0], updates), jax.tree.map(lambda x: x[1], updates), rtol=1e-4
    )
    step(jnp.array([2e-3, 3e-2]))
    assert step._cache_size() == 1


@pytest.mark.parametrize("rule", [celo2, celo2_base])
def test_unrolled_size_changes_the_program_and_not_its_result(rule):
    params, grads = normal(TREE, 0), normal(TREE, 1)
    fused, stored = (rule(1e-3, theta(), unrolled_size=size) for size in (0, 10**9))
    programs = [
        str(jax.make_jaxpr(opt.update)(grads, opt.init(params), params)) for opt in (fused, stored)
    ]
    assert programs[0] != programs[1]
    assert_trees_close(
        first_updates(fused, grads, params), first_updates(stored, grads, params), atol=2e-8
    )


@pytest.mark.parametrize("rule", [celo2, celo2_base])
def test_learning_rate_can_be_injected(rule):
    params, grads = normal(TREE, 0), normal(TREE, 1)
    opt = optax.inject_hyperparams(rule)(learning_rate=1e-3, theta=theta())
    update, state = jax.jit(opt.update), opt.init(params)
    updates, _ = update(grads, state, params)
    state.hyperparams["learning_rate"] = jnp.float32(2e-3)
    twice, _ = update(grads, state, params)
    assert_trees_close(twice, jax.tree.map(lambda x: 2 * x, updates))
    assert update._cache_size() == 1


def test_extra_arguments_are_ignored():
    params, grads = normal(TREE, 0), normal(TREE, 1)
    opt = scale_by_celo2(theta())
    state = opt.init(params)
    plain = jax.make_jaxpr(opt.update)(grads, state, params)
    more = jax.make_jaxpr(functools.partial(opt.update, value=1.0, nobody_expects="this"))
    assert str(more(grads, state, params)) == str(plain)


@pytest.mark.parametrize("orthogonalize", [True, False])
def test_gradients_of_any_size_give_finite_directions(orthogonalize):
    params = normal(TREE, 0)
    opt = scale_by_celo2(theta(), orthogonalize)
    update = jax.jit(opt.update)
    for scale in (0.0, 1e-30, 1e30):
        state = opt.init(params)
        for step in range(3):
            updates, state = update(normal(TREE, step, scale), state, params)
            assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves((updates, state)))
    assert update._cache_size() == 1


def test_bfloat16_parameters_are_updated_in_float32():
    params, grads = (normal(TREE, seed, dtype=jnp.bfloat16) for seed in (0, 1))
    opt = scale_by_celo2(theta())
    found = first_updates(opt, grads, params)
    assert {x.dtype for x in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    assert {x.dtype for x in jax.tree.leaves(opt.init(params))} == {jnp.dtype(jnp.float32)}
    exact = first_updates(opt, *jax.tree.map(lambda x: x.astype(jnp.float32), (grads, params)))
    assert_trees_close(jax.tree.map(lambda x: x.astype(jnp.bfloat16), exact), found, rtol=0.01)


def test_state_is_four_parameters_and_the_factors():
    params = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
        NATURE | {"bias": (512,)},
        is_leaf=lambda x: isinstance(x, tuple),
    )
    state = jax.eval_shape(scale_by_celo2(theta()).init, params)
    size = {
        name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in state._asdict().items()
    }
    assert size["m"] == 3 * size["r"]
    assert sum(size.values()) <= 4.05 * size["r"]


def test_no_array_of_parameters_times_features_is_built():
    params = normal({"w": (256, 384)}, 0)
    opt = scale_by_celo2(theta(), orthogonalize=False)
    step = jax.jit(opt.update, donate_argnums=1).lower(params, opt.init(params), params).compile()
    assert step.memory_analysis().temp_size_in_bytes <= 4 * params["w"].nbytes


# --- wiring ---------------------------------------------------------------------------------------


def test_vectors_and_embeddings_go_to_adamw():
    params = normal(TREE | {"embed": {"kernel": (5, 3)}}, 0)
    assert celo2_routing(params) == {
        "conv": {"kernel": "orthogonalized", "bias": "adamw"},
        "head": {"kernel": "orthogonalized"},
        "scale": "adamw",
        "embed": {"kernel": "adamw"},
    }
    assert CELO2.routing(params, conv_as_matrix=True) == celo2_routing(params)
    assert set(jax.tree.leaves(CELO2_BASE.routing(params))) == {"learned"}


def test_label_fn_overrides_what_it_names():
    rules = celo2_routing(
        normal(TREE, 0), lambda path, leaf: "learned" if path == "head/kernel" else None
    )
    assert rules["head"]["kernel"] == "learned"
    assert rules["conv"] == {"kernel": "orthogonalized", "bias": "adamw"}
    with pytest.raises(ValueError, match="label_fn gave 'muon' for conv/bias; rules are"):
        celo2_routing(normal(TREE, 0), lambda path, leaf: "muon")


def test_each_leaf_gets_its_rule():
    params, grads = normal(TREE, 0), normal(TREE, 1)

    updates = functools.partial(first_updates, grads=grads, params=params)
    by_head = updates(
        celo2(
            optax.constant_schedule(1e-2),
            theta(),
            weight_decay=0.1,
            mult_1d=3.0,
            label_fn=lambda path, leaf: "learned" if "head" in path else None,
        )
    )
    base = updates(celo2_base(1e-2, theta(), weight_decay=0.1))
    adamw = updates(optax.adamw(3e-2, 0.9, 0.95, weight_decay=0.1))
    direction = updates(scale_by_celo2(theta()))
    assert_trees_close(by_head["head"], base["head"])
    assert_trees_close(by_head["scale"], adamw["scale"])
    assert_trees_close(by_head["conv"]["bias"], adamw["conv"]["bias"])
    kernel = -1e-2 * (direction["conv"]["kernel"] + 0.1 * params["conv"]["kernel"])
    assert_trees_close(by_head["conv"]["kernel"], kernel)


def test_kernels_as_matrices():
    params, grads = normal({"kernel": (2, 3, 4, 5)}, 0), normal({"kernel": (2, 3, 4, 5)}, 1)
    flat, flat_grads = jax.tree.map(lambda x: x.reshape(24, 5), (params, grads))
    opt, on_matrix = celo2(1.0, theta(), conv_as_matrix=True), celo2(1.0, theta())
    found = first_updates(opt, grads, params)
    expected = first_updates(on_matrix, flat_grads, flat)
    assert_trees_close(found["kernel"], expected["kernel"].reshape(2, 3, 4, 5))


def test_a_rule_without_leaves_is_no_obstacle():
    params = {"bias": jnp.ones(3)}
    opt = celo2(1e-3, theta())
    updates, _ = opt.update(params, opt.init(params), params)
    assert updates["bias"].shape == (3,)


def test_specs_build_what_the_functions_do(tmp_path):
    params, grads = normal(TREE, 0), normal(TREE, 1)
    weights.save(tmp_path / "theta.npz", theta())
    settings = {"weights": str(tmp_path / "theta.npz"), "schedule": "constant"}
    for spec, opt in (
        (CELO2.build(10, mult_1d=4.0, **settings), celo2(1e-3, theta(), mult_1d=4.0)),
        (CELO2_BASE.build(10, **settings), celo2_base(1e-3, theta())),
    ):
        assert_trees_close(first_updates(spec, grads, params), first_updates(opt, grads, params))


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "opt", [scale_by_celo2(theta()), celo2(1e-3, theta())], ids=["scale_by_celo2", "celo2"]
)
def test_missing_params_are_named(opt):
    params = normal(TREE, 0)
    with pytest.raises(ValueError, match=r"update\(grads, state, params\)"):
        opt.update(params, opt.init(params))


def test_wrong_weights_are_named():
    wrong = theta()
    wrong["ff_mod_stack"]["~"]["w1"] = np.zeros((4, 4), np.float32)
    with pytest.raises(
        ValueError, match=r"ff_mod_stack/~/w1 has shape \(4, 4\), expected \(8, 8\)"
    ):
        scale_by_celo2(wrong)
