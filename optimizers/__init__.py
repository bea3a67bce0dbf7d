"""Optax transformations, hand-crafted and learned, and what a sweep must know about them."""

from optimizers import weights
from optimizers.learned.celo import celo, celo_adam
from optimizers.learned.celo2 import celo2, celo2_base, scale_by_celo2
from optimizers.learned.mlp_lopt import mlp_lopt
from optimizers.learned.mulo import mulo
from optimizers.learned.parts.newton_schulz import orthogonalize
from optimizers.learned.velo import velo
from optimizers.registry import get, names, register
from optimizers.routing import routing_table
from optimizers.schedules import make_schedule
from optimizers.spec import Choice, Hyperparameter, LogUniform, OptimizerSpec, Uniform

__all__ = [
    "Choice",
    "Hyperparameter",
    "LogUniform",
    "OptimizerSpec",
    "Uniform",
    "celo",
    "celo2",
    "celo2_base",
    "celo_adam",
    "get",
    "make_schedule",
    "mlp_lopt",
    "mulo",
    "names",
    "orthogonalize",
    "register",
    "routing_table",
    "scale_by_celo2",
    "velo",
    "weights",
]
