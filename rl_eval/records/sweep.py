"""sweep.json: what a sweep set out to run. Written by `sweeps`, read by reports."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from rl_eval.records.run import SCHEMA, RecordError, read_record, write_json
from rl_eval.settings import SettingsError, read
from rl_eval.strict import STRICT

Scale = Literal["log", "linear", "integer", "choice"]
Setting = bool | int | float | str | None


@dataclasses.dataclass(frozen=True)
class AxisRecord:
    """One hyperparameter that varies, by its section and name in config.json."""

    __pydantic_config__ = STRICT

    key: str
    """Such as optimizer.learning_rate, hparams.gamma, ppo.num_envs."""
    name: str
    scale: Scale
    low: float | None = None
    high: float | None = None
    values: tuple[Setting, ...] = ()
    """Of a choice, in the order a report shows them."""
    help: str = ""

    def __post_init__(self) -> None:
        if self.scale == "choice":
            if not self.values:
                raise ValueError(f"axis {self.key} has no values")
        elif self.low is None or self.high is None or not self.low < self.high:
            raise ValueError(f"axis {self.key} needs low < high, got {self.low}, {self.high}")
        elif self.scale == "log" and self.low <= 0:
            raise ValueError(f"axis {self.key} is logarithmic from {self.low}")


@dataclasses.dataclass(frozen=True)
class PlannedTrial:
    """A trial by its id, with the values of the axes that its optimizer has."""

    __pydantic_config__ = STRICT

    id: str
    env: str
    optimizer: str
    values: dict[str, Setting]

    def __post_init__(self) -> None:
        if not (self.id.isascii() and self.id.isalnum()):
            raise ValueError(f"a trial's id is letters and digits, got {self.id!r}")


@dataclasses.dataclass(frozen=True)
class Pruning:
    """At each of `rungs`, shares of the env steps, one run in `reduction` goes on."""

    __pydantic_config__ = STRICT

    method: Literal["asha"]
    reduction: int
    rungs: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.reduction < 2 or not all(0 < share < 1 for share in self.rungs):
            raise ValueError("pruning needs a reduction of 2 or more, and rungs between 0 and 1")


@dataclasses.dataclass(frozen=True)
class SweepRecord:
    """The whole file."""

    __pydantic_config__ = STRICT

    schema: int
    preset: str | None
    description: str
    design: str
    design_seed: int
    seeds: tuple[int, ...]
    axes: dict[str, tuple[AxisRecord, ...]]
    """By optimizer."""
    planned: tuple[PlannedTrial, ...]
    commands: tuple[str, ...] = ()
    pruning: Pruning | None = None
    learning_rates: dict[str, str] = dataclasses.field(default_factory=dict)
    """By optimizer: the name of the hyperparameter that is its learning rate."""
    points: int | None = None
    """That the design drew for each environment and optimizer; equal ones are one trial."""

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {self.schema}")
        for trial in self.planned:
            keys = {axis.key for axis in self.axes.get(trial.optimizer, ())}
            if set(trial.values) != keys:
                raise ValueError(f"trial {trial.id} does not have the values of its axes")

    def learning_rate_key(self, optimizer: str) -> str | None:
        """The axis of an optimizer that is its learning rate; None where it does not vary."""
        told = self.learning_rates.get(optimizer)
        names = ("learning_rate", "lr") if told is None else (told,)  # older records do not tell
        keys = {axis.key for axis in self.axes.get(optimizer, ())}
        wanted = (f"optimizer.{name}" for name in names)
        return next((key for key in wanted if key in keys), None)


def write_sweep(directory: Path, record: SweepRecord) -> None:
    """Write sweep.json whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "sweep.json", dataclasses.asdict(record))


def read_sweep(directory: Path) -> SweepRecord:
    """The record of a sweep directory.

    Raises:
        RecordError: there is none, or it is not one.
    """
    path = directory / "sweep.json"
    try:
        return read(SweepRecord, read_record(path), str(path))
    except SettingsError as error:
        raise RecordError(str(error)) from None
