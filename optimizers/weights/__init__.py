"""Weights of learned optimizers: shipped, from a file, or from the Hugging Face hub."""

from __future__ import annotations

from optimizers.spec import Hyperparameter
from optimizers.weights.files import save
from optimizers.weights.initial import initial
from optimizers.weights.sources import Provenance, load, manifest, or_default, resolve
from optimizers.weights.templates import TEMPLATES, Theta, WeightsError, check

# Of every rule with weights, as it stands or (Celo2's) with a choice of shipped names.
WEIGHTS = Hyperparameter(
    "weights", None, static=True, help="a shipped name, a path or hf:owner/repo[/file]"
)

__all__ = [
    "TEMPLATES",
    "WEIGHTS",
    "Provenance",
    "Theta",
    "WeightsError",
    "check",
    "initial",
    "load",
    "manifest",
    "or_default",
    "resolve",
    "save",
]
