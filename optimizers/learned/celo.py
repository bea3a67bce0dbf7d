"""Celo, a learned rule whose step size a small LSTM schedules, and Celo-Adam, Adam under it.

Moudgil et al., Celo: Training Versatile Learned Optimizers on a Compute Diet (arXiv 2501.12670).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from optimizers.learned.parts.accumulators import (
    init_momenta,
    init_second_moment,
    update_momenta,
    update_second_moment,
)
from optimizers.learned.parts.loss_features import (
    LossStatistics,
    init_loss_statistics,
    loss_features,
    time_features,
)
from optimizers.learned.parts.lstm import LstmState, init_lstm, linear, lstm_step
from optimizers.learned.transformation import (
    SECOND_MOMENT_DECAY,
    Averages,
    check_horizon,
    clipped,
    init_averages,
    leaves_with_averages,
    transformation,
    update_averages,
)
from optimizers.learned.velo import networks_of, parameter_step
from optimizers.spec import OptimizerSpec
from optimizers.weights import WEIGHTS, Theta, load, or_default

_MOMENTUM_DECAY = 0.9  # of Celo-Adam


class Schedule(NamedTuple):
    """State of the learned step size. All tensors would have equal LSTM rows: one is kept."""

    step: Int[Array, ""]  # steps taken
    loss: LossStatistics
    lstm: LstmState


class CeloState(NamedTuple):
    schedule: Schedule
    averages: Averages


class CeloAdamState(NamedTuple):
    schedule: Schedule
    momentum: optax.Updates
    second: optax.Updates


class Scheduled(NamedTuple):
    """What the scheduler read and decided in one step."""

    inputs: Float[Array, "1 18"]
    lr_mult: Float[Array, ""]
    schedule: Schedule


def celo(
    num_steps: ArrayLike, theta: Any | None = None, *, skipped_steps: ArrayLike = 0
) -> optax.GradientTransformationExtraArgs:
    """Celo for a run of known length; `update` needs `params` and `value`, the loss.

    Args:
        num_steps: gradient steps of the whole run.
        theta: weights, see `optimizers.weights`.
        skipped_steps: steps of the run that were left out so far: its clock is ahead by them.

    Raises:
        WeightsError: no weights, or of another form.
        ValueError: no horizon; at trace time: no parameters, no loss.
    """
    theta = or_default(theta, "celo")
    check_horizon("celo", num_steps)
    network = jax.tree.map(lambda banks: banks[0], networks_of(theta))

    def init(params: optax.Params) -> CeloState:
        return CeloState(init_schedule(theta), init_averages(params))

    def step(
        grads: optax.Updates, state: CeloState, params: optax.Params, loss: Float[Array, ""]
    ) -> tuple[list[Any], CeloState]:
        _, lr_mult, after = schedule(theta, state.schedule, loss, num_steps, skipped_steps)
        g = clipped(grads)
        averages = update_averages(state.averages, g)
        leaves = leaves_with_averages(g, params, averages)
        steps = [lr_mult * parameter_step(leaf, network) for leaf in leaves]
        return steps, CeloState(after, averages)

    return transformation("celo", init, step, needs_loss=True)


def celo_adam(
    num_steps: ArrayLike, theta: Any | None = None, *, skipped_steps: ArrayLike = 0
) -> optax.GradientTransformationExtraArgs:
    """Adam (b1 0.9, b2 0.999) whose step size Celo's LSTM schedules; arguments as `celo`."""
    theta = or_default(theta, "celo-adam")
    check_horizon("celo-adam", num_steps)

    def init(params: optax.Params) -> CeloAdamState:
        momentum = jax.tree.map(lambda p: init_momenta(p, 1), params)
        second = jax.tree.map(init_second_moment, params)
        return CeloAdamState(init_schedule(theta), momentum, second)

    def step(
        grads: optax.Updates, state: CeloAdamState, params: optax.Params, loss: Float[Array, ""]
    ) -> tuple[list[Any], CeloAdamState]:
        del params
        _, lr_mult, after = schedule(theta, state.schedule, loss, num_steps, skipped_steps)
        g = clipped(grads)
        momentum = jax.tree.map(
            lambda g, m: update_momenta(m, g, (_MOMENTUM_DECAY,)), g, state.momentum
        )
        second = jax.tree.map(
            lambda g, r: update_second_moment(r, g, SECOND_MOMENT_DECAY),
            g,
            state.second,
        )
        m_hat = optax.tree.bias_correction(momentum, _MOMENTUM_DECAY, after.step)
        r_hat = optax.tree.bias_correction(second, SECOND_MOMENT_DECAY, after.step)
        steps = jax.tree.map(
            lambda r, m: m[0] * (lr_mult * 0.001 / (1e-8 + jnp.sqrt(r + 1e-10))), r_hat, m_hat
        )
        return jax.tree.leaves(steps), CeloAdamState(after, momentum, second)

    return transformation("celo-adam", init, step, needs_loss=True)


def init_schedule(theta: Theta) -> Schedule:
    return Schedule(jnp.zeros((), jnp.int32), init_loss_statistics(), init_lstm(theta, rows=1))


def schedule(
    theta: Theta,
    state: Schedule,
    loss: ArrayLike,
    num_steps: ArrayLike,
    skipped_steps: ArrayLike = 0,
) -> Scheduled:
    """The learned step size of this step, from the loss and the time alone."""
    statistics, of_loss = loss_features(state.loss, loss, state.step, num_steps)
    time = time_features(state.step + skipped_steps, num_steps)
    inputs = jnp.concatenate([time, of_loss])[None]
    lstm = lstm_step(theta["rnn_params"], inputs, state.lstm)
    lr_mult = 0.1 * jnp.exp(linear(theta["rnn_params"], "step_size", lstm.hidden)[0, 0])
    return Scheduled(inputs, lr_mult, Schedule(state.step + 1, statistics, lstm))


def _spec(name: str, rule: Any) -> OptimizerSpec:
    def make(
        num_steps: int, *, skipped_steps: ArrayLike, weights: str | None = None
    ) -> optax.GradientTransformationExtraArgs:
        return rule(num_steps, load(weights, name), skipped_steps=skipped_steps)

    return OptimizerSpec(
        name,
        make,
        hyperparameters=(WEIGHTS,),
        follows_run=True,
        citation="Moudgil et al., Celo: Training Versatile Learned Optimizers on a Compute Diet, "
        "2025, arXiv 2501.12670",
    )


CELO = _spec("celo", celo)
CELO_ADAM = _spec("celo-adam", celo_adam)
