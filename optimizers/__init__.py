"""Optax transformations, hand-crafted and learned, and what a sweep must know about them."""

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
    "get",
    "make_schedule",
    "names",
    "register",
    "routing_table",
]
