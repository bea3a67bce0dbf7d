"""VeLO: an LSTM over tensors that mixes, for each of them, the weights of a small network.

Metz et al., VeLO: Training Versatile Learned Optimizers by Scaling Up (arXiv 2211.09760).
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from optimizers.learned.parts.loss_features import (
    LossStatistics,
    init_loss_statistics,
    loss_features,
    time_features,
)
from optimizers.learned.parts.lstm import LstmState, init_lstm, linear, lstm_step
from optimizers.learned.parts.per_parameter import Leaf, Mlp, evaluate
from optimizers.learned.transformation import (
    Averages,
    check_horizon,
    clipped,
    init_averages,
    leaves_with_averages,
    transformation,
    update_averages,
)
from optimizers.spec import Hyperparameter, LogUniform, OptimizerSpec
from optimizers.weights import WEIGHTS, Theta, load, or_default

LONGEST_RUN = 150_000  # gradient steps; for longer runs Google's wrapper accumulates gradients

_FEATURES = (  # in the order of theta's slabs w0__0 ... w0__13
    *("g", "clip_g", "p", "m", "r", "m_s", "s", "fac_g", "g_s"),
    *("row", "col", "rsqrt_row", "rsqrt_col", "fac_m"),
)


class VeloState(NamedTuple):
    step: Int[Array, ""]  # steps taken
    averages: Averages
    loss: LossStatistics
    lstm: LstmState  # a row per parameter leaf, in tree order


class PerTensor(NamedTuple):
    """What the per-tensor network read and decided in one step."""

    inputs: Float[Array, "tensor 30"]
    loss_features: Float[Array, " feature"]
    controls: Float[Array, "tensor bank"]
    lr_mult: Float[Array, " tensor"]
    loss: LossStatistics
    lstm: LstmState


def velo(
    num_steps: ArrayLike,
    theta: Any | None = None,
    *,
    skipped_steps: ArrayLike = 0,
    ff_mult: float | None = None,
    weight_decay: ArrayLike = 0.0,
    legacy_loss_features: bool = False,
    legacy_lstm_state: bool = False,
    unrolled_size: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """VeLO for a run of known length; `update` needs `params` and `value`, the loss.

    Args:
        num_steps: gradient steps of the whole run; a warning says what is beyond `LONGEST_RUN`.
        theta: weights, see `optimizers.weights`; None for those in the folder RL_EVAL_WEIGHTS.
        skipped_steps: steps of the run that were left out so far: its clock is ahead by them.
        ff_mult: factor on the mixed weights; None for `factor_of(theta)`.
        weight_decay: times the parameters joins the gradient, times their squared norm the loss.
        legacy_loss_features: all loss averages look back 10 steps (`use_bugged_loss_features`).
        legacy_lstm_state: the LSTM never advances (`use_bugged_next_lstm_state`).
        unrolled_size: see `per_parameter.evaluate`. Speed only: smaller pays under vmap.

    Raises:
        WeightsError: no weights, or of another form.
        ValueError: no horizon; at trace time: no parameters, no loss.
    """
    theta = or_default(theta, "velo")
    check_horizon("velo", num_steps)
    _warn_of_length(num_steps)
    factor = factor_of(theta) if ff_mult is None else ff_mult

    def init(params: optax.Params) -> VeloState:
        lstm = init_lstm(theta, rows=len(jax.tree.leaves(params)))
        rest = init_averages(params), init_loss_statistics()
        return VeloState(jnp.zeros((), jnp.int32), *rest, lstm)

    def step(
        grads: optax.Updates, state: VeloState, params: optax.Params, loss: Float[Array, ""]
    ) -> tuple[list[Any], VeloState]:
        loss = loss + weight_decay * optax.tree.norm(params, squared=True)
        g = clipped(jax.tree.map(lambda g, p: g + weight_decay * p, grads, params))
        tensors = per_tensor(
            theta,
            state,
            params,
            loss,
            num_steps,
            skipped_steps=skipped_steps,
            legacy_loss_features=legacy_loss_features,
        )
        averages = update_averages(state.averages, g)
        leaves = leaves_with_averages(g, params, averages)
        steps = _parameter_steps(theta, factor, tensors, leaves, unrolled_size)
        lstm = state.lstm if legacy_lstm_state else tensors.lstm
        return steps, VeloState(state.step + 1, averages, tensors.loss, lstm)

    return transformation("velo", init, step, needs_loss=True)


def per_tensor(
    theta: Theta,
    state: VeloState,
    params: optax.Params,
    loss: ArrayLike,
    num_steps: ArrayLike,
    *,
    skipped_steps: ArrayLike = 0,
    legacy_loss_features: bool = False,
) -> PerTensor:
    """One step of the per-tensor network; it sees the averages from before this step's gradient."""
    layers = theta["rnn_params"]
    horizon = 10 if legacy_loss_features else num_steps
    statistics, of_loss = loss_features(state.loss, loss, state.step, horizon)
    shared = jnp.concatenate([time_features(state.step + skipped_steps, num_steps), of_loss])
    leaves = leaves_with_averages(params, params, state.averages)
    inputs = jnp.concatenate([jnp.tile(shared, (len(leaves), 1)), _tensor_features(leaves)], axis=1)
    lstm = lstm_step(layers, inputs, state.lstm)
    controls = linear(layers, "rnn_to_controls", lstm.hidden)
    lr_mult = linear(layers, "step_size", lstm.hidden)[:, 0]
    return PerTensor(inputs, of_loss, controls, lr_mult, statistics, lstm)


def _parameter_steps(
    theta: Theta,
    factor: ArrayLike,
    tensors: PerTensor,
    leaves: list[Leaf],
    unrolled_size: int | None,
) -> list[Float[Array, "*leaf"]]:
    networks = _mixed(theta, tensors.controls, factor)
    return [
        tensors.lr_mult[i]
        * parameter_step(leaf, jax.tree.map(lambda w, i=i: w[i], networks), unrolled_size)
        for i, leaf in enumerate(leaves)
    ]


def parameter_step(
    leaf: Leaf, network: Mlp, unrolled_size: int | None = None
) -> Float[Array, "*leaf"]:
    """The step (to be subtracted) in units of the learned learning rate; also Celo's."""
    direction, magnitude, _ = evaluate(
        leaf, network, _FEATURES, diagonal_eps=0.0, unrolled_size=unrolled_size
    )
    scale = jnp.sqrt(jnp.mean(leaf.p * leaf.p) + 1e-9)
    return direction * (scale * jnp.exp(0.001 * magnitude)) * 0.001


def networks_of(theta: Theta) -> Mlp:
    """The banks of the per-parameter network, on the first axis of its arrays; also Celo's."""
    arrays = theta["ff_mod_stack"]["~"]
    w0 = jnp.concatenate([arrays[f"w0__{i}"] for i in range(len(_FEATURES))], axis=1)
    return Mlp(w0, *(arrays[name] for name in Mlp._fields[1:]))


def _mixed(theta: Theta, controls: Float[Array, "tensor bank"], factor: ArrayLike) -> Mlp:
    """Every tensor's own network on the first axis: the mean of the banks under its controls."""

    def mean(banks: Float[Array, "bank ..."]) -> Float[Array, "tensor ..."]:
        return jnp.tensordot(controls, banks, 1, precision="highest") / len(banks) * factor

    return jax.tree.map(mean, networks_of(theta))


def _tensor_features(leaves: list[Leaf]) -> Float[Array, "tensor 12"]:
    """mean_r (1), rank (5), var_m (3), var_r (3)."""
    moments = jnp.stack([_moments(leaf) for leaf in leaves])
    logs = 0.5 * jnp.clip(jnp.log(1e-8 + jnp.abs(10 * moments)), -5.0, 5.0)
    ranks = jnp.array([sum(size > 1 for size in leaf.p.shape) for leaf in leaves])
    return jnp.concatenate([logs[:, :1], jax.nn.one_hot(ranks, 5), logs[:, 1:]], axis=1)


def _moments(leaf: Leaf) -> Float[Array, " moment"]:
    """mean_r (1), var_m (3), var_r (3), in units of the inverse RMS of the parameters."""
    m, r = leaf.momenta, leaf.second
    axes = tuple(range(1, m.ndim))
    mean = jnp.mean(m, axes, keepdims=True)
    mean, again = jax.lax.optimization_barrier((mean, mean))  # or XLA spreads it over the leaf
    var_m = jnp.mean((m - mean) ** 2, axes)
    var_r = jnp.mean((r - again) ** 2, axes)  # about m's mean, not r's: so it was trained
    unit = jax.lax.rsqrt(jnp.maximum(1e-9, jnp.mean(leaf.p * leaf.p)))
    return jnp.concatenate([unit * jnp.mean(r)[None], unit**2 * var_m, unit**2 * var_r])


def factor_of(theta: Theta) -> float:
    """The factor on mixed weights under which theta of this size was trained.

    100 for Google's size (512 units, 256 banks), else 1, as in the repository of Celo.
    """
    return 100.0 if theta["rnn_params"]["rnn_to_controls"]["w"].shape == (512, 256) else 1.0


def _warn_of_length(num_steps: ArrayLike) -> None:
    if isinstance(num_steps, (int, float)) and num_steps > LONGEST_RUN:
        warnings.warn(
            f"velo for {num_steps} gradient steps: above {LONGEST_RUN} Google's wrapper "
            "accumulates gradients, here every gradient is a step",
            stacklevel=3,
        )


def _spec(name: str) -> OptimizerSpec:
    def make(
        num_steps: int, weights: str | None = None, **settings: Any
    ) -> optax.GradientTransformationExtraArgs:
        return velo(num_steps, load(weights, name), **settings)

    return OptimizerSpec(
        name,
        make,
        hyperparameters=(
            WEIGHTS,
            Hyperparameter(
                "weight_decay",
                0.0,
                LogUniform(1e-6, 1e-2),
                help="times the parameters is added to the gradient, not decoupled",
            ),
            Hyperparameter(
                "legacy_loss_features", False, help="all loss averages look back 10 steps"
            ),
            Hyperparameter("legacy_lstm_state", False, help="the LSTM never advances"),
        ),
        follows_run=True,
        citation="Metz et al., VeLO: Training Versatile Learned Optimizers by Scaling Up, 2022, "
        "arXiv 2211.09760",
    )


VELO = _spec("velo")
VELO_S = _spec("velo-s")  # 64 LSTM units, 32 banks
