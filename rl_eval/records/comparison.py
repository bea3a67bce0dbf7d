"""compare.json: what a comparison set out to run. Written by `rl-eval compare`, read by its page.

DIR/compare.json                     this file
DIR/tuning/                          a sweep, if anything is tuned (`rl_eval.records.table`)
DIR/sweep.json, DIR/trials/          the reported runs, a trial per environment and optimizer
DIR/cost/<trial>/                    what the optimizer of that trial costs (`rl_eval.run.cost`)
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rl_eval.records.run import SCHEMA, RecordError, read_record, write_json
from rl_eval.settings import SettingsError, read
from rl_eval.strict import STRICT

FILE = "compare.json"


@dataclasses.dataclass(frozen=True)
class Tuning:
    """A grid over hyperparameters, for the optimizers that have one of them."""

    __pydantic_config__ = STRICT

    hyperparameters: tuple[str, ...]
    optimizers: tuple[str, ...]
    points: int
    """Of each continuous domain."""
    seeds: tuple[int, ...]
    learning_rate_name: str | None = None
    """The hyperparameter that is the learning rate of optimizers that call it so."""


@dataclasses.dataclass(frozen=True)
class CompareRecord:
    """The whole file."""

    __pydantic_config__ = STRICT

    schema: int
    suite: str | None
    envs: tuple[str, ...]
    optimizers: tuple[str, ...]
    baseline: str
    seeds: tuple[int, ...]
    tuning: Tuning | None
    bases: tuple[dict[str, Any], ...]
    """A configuration, as plain values, for every environment and optimizer, in this order."""
    commands: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {self.schema}")
        if self.baseline not in self.optimizers:
            raise ValueError(f"the baseline {self.baseline} is not one of the optimizers")
        if len(self.bases) != len(self.envs) * len(self.optimizers):
            raise ValueError("there must be a configuration for every environment and optimizer")
        used = sorted(set(self.seeds) & set(self.tuning.seeds if self.tuning else ()))
        if used:
            raise ValueError(
                f"the seed {used[0]} was used for tuning: what was chosen by it looks better on it "
                "than it is; report other seeds"
            )

    def base(self, env: str, optimizer: str) -> dict[str, Any]:
        """The configuration of an optimizer in an environment, before tuning."""
        at = self.envs.index(env) * len(self.optimizers) + self.optimizers.index(optimizer)
        return self.bases[at]


def write_compare(directory: Path, record: CompareRecord) -> None:
    """Write compare.json whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / FILE, dataclasses.asdict(record))


def read_compare(directory: Path) -> CompareRecord:
    """The record of a comparison's directory.

    Raises:
        RecordError: there is none, or it is not one.
    """
    path = directory / FILE
    try:
        return read(CompareRecord, read_record(path), str(path))
    except SettingsError as error:
        raise RecordError(str(error)) from None
