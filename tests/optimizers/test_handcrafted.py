"""Each spec is optax's rule with our schedule and sensible settings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from optimizers.handcrafted import (
    ADAMW,
    HANDCRAFTED,
    LION,
    MUON,
    RMSPROP,
    SCHEDULE_FREE_ADAMW,
    SGD,
    muon_routing,
)
from optimizers.spec import Choice, LogUniform

STEPS = 6


def tree(seed: int = 0):
    normal = np.random.default_rng(seed).standard_normal
    shapes = {
        "embed": {"embedding": (5, 4)},
        "conv": {"kernel": (3, 3, 2, 4), "bias": (4,)},
        "dense": {"kernel": (4, 3), "bias": (3,)},
        "log_std": (),
    }
    return jax.tree.map(
        lambda shape: jnp.asarray(normal(shape), jnp.float32),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def follow(opt, steps=STEPS):
    """Parameters after `steps` updates with recorded gradients."""
    params = tree()
    state, update = opt.init(params), jax.jit(opt.update)
    for i in range(steps):
        updates, state = update(tree(i + 1), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_close(left, right, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), left, right)


FALLING = optax.linear_schedule(0.1, 0.0, STEPS)


@pytest.mark.parametrize(
    ("spec", "reference"),
    [
        (ADAMW, optax.adamw(FALLING, eps=1e-5, weight_decay=0.0)),
        (SGD, optax.sgd(FALLING, momentum=0.9)),
        (RMSPROP, optax.rmsprop(FALLING, decay=0.99, eps=1e-5)),
        (LION, optax.lion(FALLING, weight_decay=0.0)),
    ],
    ids=lambda x: getattr(x, "name", "optax"),
)
def test_defaults_are_optax_with_a_falling_rate(spec, reference):
    assert_close(follow(spec.build(STEPS, learning_rate=0.1))[0], follow(reference)[0], rtol=1e-6)


def test_defaults_lie_in_their_domains():
    for spec in HANDCRAFTED:
        for h in spec.hyperparameters:
            if isinstance(h.domain, Choice):
                assert h.default in h.domain.values, (spec.name, h.name)
            elif h.domain is not None:
                assert h.domain.low <= h.default <= h.domain.high, (spec.name, h.name)


@pytest.mark.parametrize("spec", HANDCRAFTED, ids=lambda spec: spec.name)
def test_learning_rates_reach_past_the_best_known_for_ppo(spec):
    rate = {h.name: h for h in spec.hyperparameters}["learning_rate"]
    assert isinstance(rate.domain, LogUniform)
    assert rate.domain.low <= rate.default / 10
    assert rate.domain.high >= rate.default * 10
    assert rate.traced


def test_muon_routes_by_rank_and_path():
    assert muon_routing(tree(), adamw_paths="embed") == {
        "embed": {"embedding": "adamw"},
        "conv": {"kernel": "muon", "bias": "adamw"},
        "dense": {"kernel": "muon", "bias": "adamw"},
        "log_std": "adamw",
    }
    assert muon_routing(tree(), adamw_paths="")["embed"]["embedding"] == "muon"
    assert muon_routing(tree(), adamw_paths="conv|EMBED")["conv"]["kernel"] == "adamw"


def test_muon_takes_a_convolution_kernel_as_one_matrix():
    """A (3, 3, 2, 4) kernel moves as the (18, 4) matrix of the same numbers does."""
    params, grad = tree()["conv"]["kernel"], tree(1)["conv"]["kernel"]
    opt = MUON.build(STEPS, schedule="constant", learning_rate=1.0)

    def update(params, grad):
        params, grad = {"kernel": params}, {"kernel": grad}
        return opt.update(grad, opt.init(params), params)[0]["kernel"]

    as_matrix = update(params.reshape(18, 4), grad.reshape(18, 4))
    np.testing.assert_allclose(update(params, grad).reshape(18, 4), as_matrix, atol=1e-6)
    # Orthogonal columns: Newton-Schulz brings every singular value near 1, and the scale is then
    # 0.2 sqrt(max(18, 4)).
    values = jnp.linalg.svd(as_matrix, compute_uv=False) / (0.2 * 18**0.5)
    assert 0.6 < values.min() <= values.max() < 1.3


def test_muon_leaves_vectors_to_adamw():
    params, _ = follow(MUON.build(STEPS, learning_rate=0.1))
    reference, _ = follow(optax.adamw(FALLING, eps=1e-8, weight_decay=0.0, nesterov=True))
    for leaf in ("conv", "dense"):
        np.testing.assert_allclose(params[leaf]["bias"], reference[leaf]["bias"], rtol=1e-5)


def test_schedule_free_is_optax_without_warmup():
    ours, state = follow(SCHEDULE_FREE_ADAMW.build(STEPS, learning_rate=0.1, warmup_share=0.0))
    theirs, reference = follow(contrib.schedule_free_adamw(0.1, eps=1e-5))
    assert_close(ours, theirs, rtol=1e-6)
    assert_close(
        SCHEDULE_FREE_ADAMW.eval_params(state, ours),
        contrib.schedule_free_eval_params(reference, theirs),
        rtol=1e-5,
    )


def test_schedule_free_averages_with_the_rate_it_stepped_with():
    """After warm-up steps of rates 0, a/2, a the average weighs its iterates 0 : 1/4 : 1."""
    opt = SCHEDULE_FREE_ADAMW.build(4, learning_rate=0.1, warmup_share=0.5)
    params = {"w": jnp.zeros(1)}
    state, iterates = opt.init(params), []
    for _ in range(3):
        updates, state = opt.update({"w": jnp.ones(1)}, state, params)
        params = optax.apply_updates(params, updates)
        iterates.append(float(state.z["w"][0]))
    np.testing.assert_allclose(iterates, [0.0, -0.05, -0.15], rtol=1e-3)
    averaged = SCHEDULE_FREE_ADAMW.eval_params(state, params)["w"][0]
    np.testing.assert_allclose(averaged, (0.25 * -0.05 + 1.0 * -0.15) / 1.25, rtol=1e-3)
