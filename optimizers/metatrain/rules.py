"""What is meta-trained: an update rule as a function of theta."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import optax
from jaxtyping import Array, Float, Key

from optimizers.learned.celo2 import celo2, celo2_base
from optimizers.learned.mlp_lopt import mlp_lopt
from optimizers.learned.velo import velo
from optimizers.metatrain.starts import velo_start
from optimizers.weights import initial

Theta = Any  # a pytree of float32 arrays

INNER_STEP = 1e-3  # of celo2's inner problems; its update has RMS 1 before it
BIAS_MULTIPLE = 20.0  # celo2's vectors take AdamW steps of this many times INNER_STEP
UNROLLED_SIZE = 64  # a keyword: with all particles under vmap even small leaves gain


@dataclasses.dataclass(frozen=True)
class MetaRule:
    """An update rule with open weights.

    Attributes:
        name: as in `--optimizer`.
        init_theta: where meta-training starts, from a key.
        make: `make(theta, num_steps)`, the whole optimizer, inner step size and sign included, for
            an unroll of `num_steps` steps (a traced float32). Must be vmappable over both.
        units: from theta, or its shapes, to a tree of one number a leaf, in multiples of which
            theta is perturbed and moved; None for 1.
    """

    name: str
    init_theta: Callable[[Key[Array, ""]], Theta]
    make: Callable[[Theta, Float[Array, ""]], optax.GradientTransformation]
    units: Callable[[Theta], Any] | None = None


def get(name: str) -> MetaRule:
    """The rule of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in RULES:
        raise ValueError(f"no rule '{name}' to meta-train; there are {', '.join(RULES)}")
    return RULES[name]


def _celo2_base(theta: Theta, num_steps: Float[Array, ""]) -> optax.GradientTransformation:
    return celo2_base(INNER_STEP, theta, unrolled_size=UNROLLED_SIZE)


def _celo2(theta: Theta, num_steps: Float[Array, ""]) -> optax.GradientTransformation:
    return celo2(INNER_STEP, theta, mult_1d=BIAS_MULTIPLE, unrolled_size=UNROLLED_SIZE)


def _velo_s(theta: Theta, num_steps: Float[Array, ""]) -> optax.GradientTransformation:
    return velo(num_steps, theta, ff_mult=1.0, unrolled_size=UNROLLED_SIZE)


_MAKE: dict[str, Callable[[Theta, Float[Array, ""]], optax.GradientTransformation]] = {
    "celo2-base": _celo2_base,
    "celo2": _celo2,
    "mlp-lopt": lambda theta, num_steps: mlp_lopt(theta),
}
RULES = {
    name: MetaRule(name, functools.partial(initial, name), make) for name, make in _MAKE.items()
} | {"velo-s": MetaRule("velo-s", velo_start.start, _velo_s, velo_start.units)}
