"""Hand-crafted optimizers: thin specs over optax, with defaults for PPO.

Every float is traced, so a sweep over it compiles once. Domains reach past the best values known
for PPO on Atari (learning rate 2.5e-4, CleanRL) and on MinAtar (5e-3, gymnax-blines).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.typing import ArrayLike
from optax import contrib

from optimizers.schedules import KINDS, make_schedule
from optimizers.spec import Choice, Hyperparameter, LogUniform, OptimizerSpec, Uniform, Value


def _rate(default: float, low: float, high: float) -> Hyperparameter:
    return Hyperparameter("learning_rate", default, LogUniform(low, high), help="peak")


def _warmup(default: float) -> Hyperparameter:
    return Hyperparameter(
        "warmup_share", default, Uniform(0.0, 0.2), help="share of the gradient steps"
    )


SCHEDULE = Hyperparameter("schedule", "linear", Choice(KINDS), help="after the warm-up")
WARMUP = _warmup(0.0)
B1 = Hyperparameter("b1", 0.9, Uniform(0.5, 0.99), help="decay of the first moment")
B2 = Hyperparameter("b2", 0.999, Uniform(0.9, 0.9999), help="decay of the second moment")
EPS = Hyperparameter("eps", 1e-5, LogUniform(1e-10, 1e-3), help="added to the root")
EPS_ROOT = Hyperparameter("eps_root", 0.0, help="added inside the root")
WEIGHT_DECAY = Hyperparameter(
    "weight_decay", 0.0, Choice((0.0, 1e-4, 1e-3, 1e-2, 1e-1)), help="times the learning rate"
)
NESTEROV = Hyperparameter("nesterov", False, Choice((False, True)))


def _scheduled(rule: Callable[..., optax.GradientTransformation]) -> Callable[..., Any]:
    """`make` of a spec, for a rule of optax that takes a schedule as its first argument."""

    def make(
        num_steps: int,
        *,
        skipped_steps: ArrayLike,
        learning_rate: Value,
        schedule: str,
        warmup_share: Value,
        **rest: Value,
    ) -> optax.GradientTransformation:
        rate = make_schedule(learning_rate, schedule, warmup_share, num_steps, skipped_steps)
        return rule(rate, **rest)

    return make


_ADAM = (_rate(2.5e-4, 1e-5, 3e-2), SCHEDULE, WARMUP, B1, B2, EPS, EPS_ROOT)

ADAMW = OptimizerSpec(
    name="adamw",
    make=_scheduled(optax.adamw),
    follows_run=True,
    hyperparameters=(*_ADAM, WEIGHT_DECAY, NESTEROV),
    citation="Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019 (1711.05101)",
)

ADAM = OptimizerSpec(
    name="adam",
    make=_scheduled(optax.adam),
    follows_run=True,
    hyperparameters=(*_ADAM, NESTEROV),
    citation="Kingma and Ba, Adam, 2015 (1412.6980)",
)

SGD = OptimizerSpec(
    name="sgd",
    make=_scheduled(optax.sgd),
    follows_run=True,
    hyperparameters=(
        _rate(0.1, 1e-3, 3.0),
        SCHEDULE,
        WARMUP,
        Hyperparameter("momentum", 0.9, Uniform(0.0, 0.99), help="not dampened"),
        NESTEROV,
    ),
    citation="Sutskever et al., On the importance of initialization and momentum, 2013",
)

RMSPROP = OptimizerSpec(
    name="rmsprop",
    make=_scheduled(optax.rmsprop),
    follows_run=True,
    hyperparameters=(
        _rate(2.5e-4, 1e-5, 3e-2),
        SCHEDULE,
        WARMUP,
        Hyperparameter("decay", 0.99, Uniform(0.9, 0.999), help="decay of the second moment"),
        Hyperparameter("eps", 1e-5, LogUniform(1e-10, 1e-3), help="added inside the root"),
        Hyperparameter("centered", False, Choice((False, True)), help="subtract the mean"),
    ),
    citation="Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012",
)

LION = OptimizerSpec(
    name="lion",
    make=_scheduled(optax.lion),
    follows_run=True,
    hyperparameters=(
        _rate(5e-5, 1e-6, 1e-2),
        SCHEDULE,
        WARMUP,
        B1,
        Hyperparameter("b2", 0.99, Uniform(0.9, 0.999), help="decay of the momentum"),
        WEIGHT_DECAY,
    ),
    citation="Chen et al., Symbolic Discovery of Optimization Algorithms, 2023 (2302.06675)",
)


def muon_routing(params: Any, *, adamw_paths: str, **_: Value) -> Any:
    """'muon' for leaves of two axes and more, except where the path matches `adamw_paths`."""

    def rule(path: Any, leaf: Any) -> str:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        by_adamw = leaf.ndim < 2 or (adamw_paths and re.search(adamw_paths, name, re.IGNORECASE))
        return "adamw" if by_adamw else "muon"

    return jax.tree.map_with_path(rule, params)


def _muon(
    learning_rate: optax.Schedule, *, weight_decay: Value, adamw_paths: str, **rest: Value
) -> optax.GradientTransformation:
    # Left alone, optax gives convolution kernels to Adam. Muon's author has them as one matrix,
    # all inputs of a unit (height, width, channel) against the units.
    def matrices(params: Any) -> Any:
        return jax.tree.map(
            lambda leaf, rule: (
                contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)
                if rule == "muon"
                else None
            ),
            params,
            muon_routing(params, adamw_paths=adamw_paths),
        )

    return contrib.muon(
        learning_rate,
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        muon_weight_dimension_numbers=matrices,
        **rest,
    )


MUON = OptimizerSpec(
    name="muon",
    make=_scheduled(_muon),
    follows_run=True,
    hyperparameters=(
        _rate(2.5e-4, 1e-5, 3e-2),
        SCHEDULE,
        WARMUP,
        Hyperparameter("beta", 0.95, Uniform(0.5, 0.99), help="decay of Muon's momentum"),
        Hyperparameter(
            "consistent_rms",
            0.2,
            LogUniform(0.02, 2.0),
            help="RMS of an update of rate 1; 0.2 is AdamW's, so that one rate fits both rules",
        ),
        WEIGHT_DECAY,
        Hyperparameter("adam_b1", 0.9, Uniform(0.5, 0.99)),
        Hyperparameter("adam_b2", 0.999, Uniform(0.9, 0.9999)),
        Hyperparameter("eps", 1e-8, LogUniform(1e-10, 1e-3), help="of AdamW and Newton-Schulz"),
        Hyperparameter("ns_steps", 5, help="Newton-Schulz iterations"),
        Hyperparameter("nesterov", True, Choice((False, True))),
        Hyperparameter("adamw_paths", "embed", help="regular expression: leaves left to AdamW"),
    ),
    citation=(
        "Jordan et al., Muon, 2024 (kellerjordan.github.io/posts/muon); scaled as in "
        "Liu et al., Muon is Scalable for LLM Training, 2025 (2502.16982)"
    ),
    routing=muon_routing,
)


def _schedule_free_adamw(
    num_steps: int,
    *,
    skipped_steps: ArrayLike,
    learning_rate: Value,
    warmup_share: Value,
    b1: Value,
    b2: Value,
    eps: Value,
    weight_decay: Value,
) -> optax.GradientTransformation:
    rate = make_schedule(learning_rate, "constant", warmup_share, num_steps, skipped_steps)
    adamw_without_momentum = optax.chain(
        optax.scale_by_rms(decay=b2, eps=eps, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )
    # The wrapper counts steps from 1, the rule within from 0: both shall see the same rate.
    return contrib.schedule_free(adamw_without_momentum, lambda count: rate(count - 1), b1=b1)


SCHEDULE_FREE_ADAMW = OptimizerSpec(
    name="schedule-free-adamw",
    make=_schedule_free_adamw,
    follows_run=True,
    hyperparameters=(
        _rate(2.5e-4, 1e-5, 3e-2),
        _warmup(0.05),
        Hyperparameter("b1", 0.9, Uniform(0.5, 0.98), help="interpolation; above 0"),
        B2,
        EPS,
        WEIGHT_DECAY,
    ),
    citation="Defazio et al., The Road Less Scheduled, 2024 (2405.15682)",
    eval_params=contrib.schedule_free_eval_params,
)

HANDCRAFTED = (ADAMW, ADAM, SGD, RMSPROP, LION, MUON, SCHEDULE_FREE_ADAMW)
