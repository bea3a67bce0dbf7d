"""Celo2 and Celo2-base: a learned direction for every parameter, orthogonalized or not.

Moudgil, Knyazev and Belilovsky, Celo2: Towards Learned Optimization Free Lunch (ICLR 2026, arXiv
2602.19142).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from optimizers.handcrafted import SCHEDULE, WARMUP
from optimizers.learned.parts import accumulators
from optimizers.learned.parts.celo2_network import UNROLLED_SIZE, Weights, direction, unit_rms
from optimizers.learned.parts.features import clip_gradient
from optimizers.learned.parts.newton_schulz import orthogonalize as newton_schulz
from optimizers.schedules import make_schedule
from optimizers.spec import Choice, Hyperparameter, LogUniform, OptimizerSpec, Uniform, Value
from optimizers.weights import check, load, or_default

RULES = ("orthogonalized", "learned", "adamw")
_SECOND_MOMENT_DECAY = 0.95

# (path such as "layer0/kernel", leaf) -> one of RULES, or None for the default
LabelFn = Callable[[str, Any], str | None]


class ScaleByCelo2State(NamedTuple):
    """Averages of the gradient, float32, each a tree like the parameters."""

    m: Any  # momenta, [decay, *leaf]
    r: Any  # second moment
    v: Any  # accumulators.Factored or, for rank <= 1, accumulators.Diagonal


def scale_by_celo2(
    theta: Any, orthogonalize: bool = True, *, unrolled_size: int | None = None
) -> optax.GradientTransformationExtraArgs:
    """The learned direction: unit RMS over the last two axes of every leaf, to be subtracted.

    Args:
        theta: weights as in `weights.TEMPLATES["celo2"]`; may be traced and vmapped.
        orthogonalize: the directions of leaves of rank >= 2 (Celo2) or none (Celo2-base).
        unrolled_size: parameters from which a leaf's features are fused instead of stored; None
            for 4096. Speed only: smaller compiles longer and pays under vmap over many runs.

    Raises:
        ValueError: `theta` is not of that form; `update` is called without params.
    """
    weights = jax.tree.map(jnp.asarray, check(theta, "celo2")["ff_mod_stack"]["~"])
    # The default is not the number itself: optax.inject_hyperparams would trace it.
    fused_from = UNROLLED_SIZE if unrolled_size is None else unrolled_size

    def init(params: optax.Params) -> ScaleByCelo2State:
        return ScaleByCelo2State(
            m=jax.tree.map(accumulators.init_momenta, params),
            r=jax.tree.map(accumulators.init_second_moment, params),
            v=jax.tree.map(accumulators.init_factored, params),
        )

    def update(
        updates: optax.Updates,
        state: ScaleByCelo2State,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleByCelo2State]:
        del extra_args
        if params is None:
            raise ValueError(
                "scale_by_celo2 reads the parameters: call update(grads, state, params)"
            )
        step = functools.partial(_update_leaf, weights, orthogonalize, fused_from)
        leaves = jax.tree.map(step, updates, params, *state)
        directions, *averages = (
            jax.tree.map(lambda _, leaf, i=i: leaf[i], updates, leaves)
            for i in range(1 + len(state))
        )
        return directions, ScaleByCelo2State(*averages)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    weights: Weights,
    orthogonalize: bool,
    fused_from: int,
    g: Array,
    p: Array,
    m: Array,
    r: Array,
    v: accumulators.Factored | accumulators.Diagonal,
) -> tuple[Array, Array, Array, accumulators.Factored | accumulators.Diagonal]:
    g = clip_gradient(g)
    m = accumulators.update_momenta(m, g)
    r = accumulators.update_second_moment(r, g, _SECOND_MOMENT_DECAY)
    v = accumulators.update_factored(v, g)
    u = direction(weights, g, p.astype(jnp.float32), m, r, v, fused_from)
    if orthogonalize and u.ndim >= 2:
        u = newton_schulz(u)
    return unit_rms(u, u.ndim).astype(p.dtype), m, r, v


def celo2(
    learning_rate: optax.ScalarOrSchedule,
    theta: Any = None,
    *,
    weight_decay: ArrayLike = 0.0,
    mult_1d: ArrayLike = 1.0,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.95,
    label_fn: LabelFn | None = None,
    conv_as_matrix: bool = False,
    unrolled_size: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Celo2 for matrices and AdamW for vectors, scalars and embeddings.

    Args:
        learning_rate: a number, traced or not, or a schedule.
        theta: weights; None for the shipped ones.
        weight_decay: decoupled, times the learning rate; of every leaf.
        mult_1d: AdamW's learning rate is this times `learning_rate`.
        b1: AdamW's.
        b2: AdamW's.
        label_fn: overrides the rule of a leaf, see `celo2_routing`.
        conv_as_matrix: take leaves of rank > 2 as matrices (all axes but the last, last), as Muon
            does. Otherwise each index before the last two axes has a matrix of its own: a 3x3
            kernel is nine.
        unrolled_size: see `scale_by_celo2`; speed only.

    Raises:
        ValueError: no weights ship and none are given, or they are of the wrong form.
    """
    theta = or_default(theta, "celo2")

    def learned(orthogonalize: bool) -> optax.GradientTransformation:
        scale = scale_by_celo2(theta, orthogonalize, unrolled_size=unrolled_size)
        return _step(_on_matrices(scale) if conv_as_matrix else scale, learning_rate, weight_decay)

    def rate_1d(count: ArrayLike) -> ArrayLike:
        return mult_1d * (learning_rate(count) if callable(learning_rate) else learning_rate)

    return optax.partition(
        {
            "orthogonalized": learned(orthogonalize=True),
            "learned": learned(orthogonalize=False),
            "adamw": optax.adamw(rate_1d, b1, b2, weight_decay=weight_decay),
        },
        functools.partial(celo2_routing, label_fn=label_fn),
    )


def celo2_base(
    learning_rate: optax.ScalarOrSchedule,
    theta: Any = None,
    *,
    weight_decay: ArrayLike = 0.0,
    unrolled_size: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Celo2-base for every leaf; arguments and errors as of `celo2`."""
    scale = scale_by_celo2(
        or_default(theta, "celo2-base"), orthogonalize=False, unrolled_size=unrolled_size
    )
    return _step(scale, learning_rate, weight_decay)


def celo2_routing(params: optax.Params, label_fn: LabelFn | None = None) -> Any:
    """The rule of every leaf: AdamW for rank <= 1 and for "embed" in the path, or as labelled.

    Raises:
        ValueError: `label_fn` gave something else than one of `RULES` or None.
    """

    def rule(path: Any, leaf: Any) -> str:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        label = label_fn(name, leaf) if label_fn else None
        if label is None:
            return "adamw" if leaf.ndim <= 1 or "embed" in name else "orthogonalized"
        if label not in RULES:
            raise ValueError(f"label_fn gave {label!r} for {name}; rules are {', '.join(RULES)}")
        return label

    return jax.tree.map_with_path(rule, params)


def _step(
    scale: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: ArrayLike,
) -> optax.GradientTransformationExtraArgs:
    return optax.chain(
        scale,
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def _on_matrices(
    inner: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """`inner`, to which a leaf of rank > 2 is a matrix with the same last axis."""

    def matrices(tree: Any) -> Any:
        return jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]) if x.ndim > 2 else x, tree)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        new, state = inner.update(matrices(updates), state, matrices(params), **extra_args)
        return jax.tree.map(lambda u, x: u.reshape(x.shape), new, updates), state

    return optax.GradientTransformationExtraArgs(lambda p: inner.init(matrices(p)), update)


_CITATION = (
    "Moudgil, Knyazev and Belilovsky, Celo2: Towards Learned Optimization Free Lunch, 2026 "
    "(2602.19142)"
)
_SHARED = (
    Hyperparameter("learning_rate", 1e-3, LogUniform(1e-5, 1e-2), help="peak"),
    SCHEDULE,
    WARMUP,
    Hyperparameter("weight_decay", 0.0, Choice((0.0, 0.1)), help="times the learning rate"),
    Hyperparameter("weights", None, static=True, help="shipped name, path or hf:owner/repo[/file]"),
)


def _make(name: str, rule: Callable[..., Any]) -> Callable[..., Any]:
    def make(
        num_steps: int,
        *,
        skipped_steps: ArrayLike,
        learning_rate: Value,
        schedule: str,
        warmup_share: Value,
        weights: str | None,
        **rest: Value,
    ) -> optax.GradientTransformationExtraArgs:
        rate = make_schedule(learning_rate, schedule, warmup_share, num_steps, skipped_steps)
        return rule(rate, load(weights, name), **rest)

    return make


CELO2 = OptimizerSpec(
    name="celo2",
    make=_make("celo2", celo2),
    follows_run=True,
    hyperparameters=(
        *_SHARED,
        Hyperparameter("mult_1d", 1.0, Uniform(1.0, 20.0), help="learning rate of AdamW, relative"),
        Hyperparameter("conv_as_matrix", False, help="one matrix a kernel, not one a position"),
    ),
    citation=_CITATION,
    routing=lambda params, **_: celo2_routing(params),
)

CELO2_BASE = OptimizerSpec(
    name="celo2-base",
    make=_make("celo2-base", celo2_base),
    follows_run=True,
    hyperparameters=_SHARED,
    citation=_CITATION,
    routing=lambda params, **_: celo2_routing(params, lambda path, leaf: "learned"),
)
