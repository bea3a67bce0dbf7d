"""Weights of learned optimizers: shipped, from a file, or from the Hugging Face hub."""

from __future__ import annotations

from optimizers.weights.files import save
from optimizers.weights.initial import initial
from optimizers.weights.sources import Provenance, load, manifest, or_default, resolve
from optimizers.weights.templates import TEMPLATES, Theta, WeightsError, check

__all__ = [
    "TEMPLATES",
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
