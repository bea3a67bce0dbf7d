"""muLO: the rule of `mlp_lopt` under muP, with a multiplier for each parameter leaf.

Therien et al., muLO: Compute-Efficient Meta-Generalization of Learned Optimizers
(arXiv 2406.00153).
"""

from __future__ import annotations

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from optimizers.learned.mlp_lopt import MlpLoptState, init_mlp_lopt, learned_directions
from optimizers.learned.transformation import transformation
from optimizers.spec import Hyperparameter, LogUniform, OptimizerSpec
from optimizers.weights import WEIGHTS, load, or_default


def mulo(
    theta: Any | None = None,
    *,
    multipliers: Any | None = None,
    step_mult: ArrayLike = 1e-2,
    clip_norm: ArrayLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """muLO; `update` needs `params`.

    Args:
        theta: weights, see `optimizers.weights`; those of mlp-lopt fit.
        multipliers: a tree like the parameters with a factor for each leaf; None for
            `default_multipliers`.
        step_mult: factor on every step.
        clip_norm: clip the gradients to this global norm; the published runs that clip use 1.

    Raises:
        WeightsError: no weights, or of another form.
        ValueError: at trace time: no parameters, multipliers of another form.
    """
    theta = or_default(theta, "mulo")

    def step(
        grads: optax.Updates, state: MlpLoptState, params: optax.Params
    ) -> tuple[list[Any], MlpLoptState]:
        if clip_norm is not None:
            grads, _ = optax.clip_by_global_norm(clip_norm).update(grads, optax.EmptyState())
        grads = jax.tree.map(jnp.nan_to_num, grads)
        factors = default_multipliers(params) if multipliers is None else multipliers
        factors = jax.tree.leaves(jax.tree.map(lambda _, factor: factor, params, factors))
        directions, new_state = learned_directions(theta, grads, state, params)
        steps = [x * step_mult * factor for x, factor in zip(directions, factors, strict=True)]
        return steps, new_state

    return transformation("mulo", init_mlp_lopt, step, needs_loss=False)


def default_multipliers(params: optax.Params) -> Any:
    """1/fan-in for hidden weights, 1 for all else: biases and input and output weights.

    Leaves of rank >= 2 are weights (fan-in: all axes but the last), others biases. Weights whose
    modules share a parent form a network, ordered by module name (numbers count as numbers); its
    first is the input layer. Its last is the output layer, unless the tree has heads, that is
    networks of a single weight: then those are the outputs and torsos end in hidden layers.
    """
    leaves, treedef = jax.tree.flatten_with_path(params)
    networks: dict[str, list[tuple[Any, int]]] = {}
    for number, (path, leaf) in enumerate(leaves):
        if jnp.ndim(leaf) >= 2:
            *parent, module = [_part(key) for key in path[:-1]] or [""]
            networks.setdefault("/".join(parent), []).append((_natural(module), number))
    ordered = [[number for _, number in sorted(layers)] for layers in networks.values()]
    has_heads = any(len(network) == 1 for network in ordered)
    hidden = {number for network in ordered for number in network[1 : None if has_heads else -1]}
    factors = [
        1.0 / math.prod(leaf.shape[:-1]) if number in hidden else 1.0
        for number, (_, leaf) in enumerate(leaves)
    ]
    return jax.tree.unflatten(treedef, factors)


def _part(key: Any) -> str:
    return jax.tree_util.keystr((key,), simple=True)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts Dense_10 after Dense_9."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


MULO = OptimizerSpec(
    "mulo",
    lambda num_steps, weights=None, **settings: mulo(load(weights, "mulo"), **settings),
    hyperparameters=(
        WEIGHTS,
        Hyperparameter("step_mult", 1e-2, LogUniform(1e-4, 1e-1), help="factor on every step"),
    ),
    citation="Therien et al., muLO: Compute-Efficient Meta-Generalization of Learned Optimizers, "
    "2024, arXiv 2406.00153",
)
