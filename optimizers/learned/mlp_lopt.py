"""small_fc_lopt: a small network on Adafactor's features, one for all parameters.

Metz et al., Practical tradeoffs between memory, compute, and performance in learned optimizers
(arXiv 2203.11860).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from optimizers.learned.parts.accumulators import DECAYS
from optimizers.learned.parts.per_parameter import Mlp, evaluate
from optimizers.learned.transformation import (
    SECOND_MOMENT_DECAY,
    Averages,
    init_averages,
    leaves_with_averages,
    transformation,
    update_averages,
)
from optimizers.spec import Hyperparameter, LogUniform, OptimizerSpec
from optimizers.weights import WEIGHTS, Theta, load, or_default

_FEATURES = (
    *("g", "p", "m", "r", "m_s", "s", "fac_g"),
    *("row", "col", "rsqrt_row", "rsqrt_col", "fac_m"),
)
_TIMES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000)  # in steps


class MlpLoptState(NamedTuple):
    step: Int[Array, ""]  # steps taken
    averages: Averages


def mlp_lopt(
    theta: Any | None = None, *, step_mult: ArrayLike = 1e-3
) -> optax.GradientTransformationExtraArgs:
    """small_fc_lopt; `update` needs `params`. It knows neither the loss nor the run's length.

    Args:
        theta: weights, see `optimizers.weights`; any hidden width.
        step_mult: factor on every step, the nearest it has to a learning rate.

    Raises:
        WeightsError: no weights, or of another form.
        ValueError: at trace time: no parameters.
    """
    theta = or_default(theta, "mlp-lopt")

    def step(
        grads: optax.Updates, state: MlpLoptState, params: optax.Params
    ) -> tuple[list[Any], MlpLoptState]:
        directions, new_state = learned_directions(theta, grads, state, params)
        return [x * step_mult for x in directions], new_state

    return transformation("mlp-lopt", init_mlp_lopt, step, needs_loss=False)


def init_mlp_lopt(params: optax.Params) -> MlpLoptState:
    return MlpLoptState(jnp.zeros((), jnp.int32), init_averages(params))


def learned_directions(
    theta: Theta, grads: optax.Updates, state: MlpLoptState, params: optax.Params
) -> tuple[list[Float[Array, "*leaf"]], MlpLoptState]:
    """Per leaf, the step before any multiplier (to be subtracted); also muLO's. All float32."""
    averages = update_averages(
        state.averages,
        grads,
        momentum=_decays(DECAYS, theta["momentum_decays"]),
        second=jnp.clip(_decays((SECOND_MOMENT_DECAY,), theta["rms_decays"]), 0.0, 1.0)[0],
        factored=jnp.clip(_decays(DECAYS, theta["adafactor_decays"]), 0.0, 1.0),
    )
    network = _network(theta, state.step)
    directions = []
    for leaf in leaves_with_averages(grads, params, averages):
        direction, magnitude = evaluate(leaf, network, _FEATURES, diagonal_eps=1e-6)
        directions.append(direction * jnp.exp(0.001 * magnitude))
    return directions, MlpLoptState(state.step + 1, averages)


def _decays(start: tuple[float, ...], learned: Float[Array, " decay"]) -> Float[Array, " decay"]:
    """Decays, moved in the logarithm of their complement by ten times what was learned."""
    complement = jnp.log(1 - jnp.array(start)) / 10
    return 1 - jnp.exp(10 * (complement + learned))


def _network(theta: Theta, step: Int[Array, ""]) -> Mlp:
    """The network of this step: time is the same for all parameters, so it goes into the bias."""
    w0, b0, *upper = (theta["nn"]["~"][name] for name in Mlp._fields)
    time = jnp.tanh(step / jnp.array(_TIMES, jnp.float32) - 1)
    of_time = jnp.matmul(time, w0[-len(_TIMES) :], precision=jax.lax.Precision.HIGHEST)
    return Mlp(w0[: -len(_TIMES)], b0 + of_time, *upper)


MLP_LOPT = OptimizerSpec(
    "mlp-lopt",
    lambda num_steps, weights=None, **settings: mlp_lopt(load(weights, "mlp-lopt"), **settings),
    hyperparameters=(
        WEIGHTS,
        Hyperparameter("step_mult", 1e-3, LogUniform(1e-4, 1e-1), help="factor on every step"),
    ),
    citation="Metz et al., Practical tradeoffs between memory, compute, and performance in "
    "learned optimizers, 2022, arXiv 2203.11860",
)
