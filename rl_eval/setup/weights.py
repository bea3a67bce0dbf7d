"""A run keeps the weights it began with: by revision and sha256, wherever they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optimizers import weights
from optimizers.spec import OptimizerSpec
from optimizers.weights import Provenance
from rl_eval.config import RunConfig
from rl_eval.settings import read_file


def with_weights(
    config: RunConfig, spec: OptimizerSpec, recorded: Any
) -> tuple[RunConfig, Provenance | None]:
    """`config` with a hub reference pinned to its revision, and where the weights came from.

    (config, None) for rules that have no weights. `recorded` is what a file holds as those of an
    earlier run, which may be anything; it binds as long as the same source is named.

    Raises:
        WeightsError: they cannot be had, or are not those on record; said before anything is
            written.
    """
    settings = config.optimizer.hyperparameters
    if "weights" not in settings or spec.name not in weights.TEMPLATES:
        return config, None
    ref: Any = settings["weights"]
    lock = _lock(recorded)
    if lock is not None and ref not in (None, lock.source, lock.pinned):
        lock = None
    used = weights.resolve(ref, spec.name, lock=lock)[1]
    if used.revision is None:
        return config, used
    optimizer = dataclasses.replace(
        config.optimizer, hyperparameters={**settings, "weights": used.pinned}
    )
    return dataclasses.replace(config, optimizer=optimizer), used


def recorded_weights(file: Path | None) -> Any:
    """The provenance of weights in a run's config.json; None in other configurations."""
    provenance = read_file(file).get("provenance") if file else None
    return provenance.get("weights") if isinstance(provenance, dict) else None


def _lock(recorded: Any) -> Provenance | None:
    names = [field.name for field in dataclasses.fields(Provenance)]
    if not isinstance(recorded, Mapping) or set(recorded) != set(names):
        return None
    if not all(isinstance(value, str | None) for value in recorded.values()):
        return None
    return Provenance(**{name: recorded[name] for name in names})
