"""A baseline on disk: what a trusted release scored, with all that is needed to believe it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from rl_eval.config import RunConfig, Setting
from rl_eval.errors import ExplainedError
from rl_eval.gate.finding import TIERS, Tier
from rl_eval.gate.numerics.tier import Numerics
from rl_eval.records.run import RecordError, read_object, write_json
from rl_eval.settings import SettingsError, read
from rl_eval.stats.compare import MIN_RUNS
from rl_eval.strict import STRICT

FORMAT = 1
KIND: Literal["rl-eval gate baseline"] = "rl-eval gate baseline"


class BaselineError(ExplainedError):
    """A file that is no baseline, or not the one that was recorded."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One seed. `episode_return`: of whole games after training; None if that diverged."""

    __pydantic_config__ = STRICT

    seed: int
    score: float
    episode_return: float | None
    diverged: bool


@dataclasses.dataclass(frozen=True)
class Unit:
    """One environment at one setting, with a run a seed.

    config: of every run, its seed apart.
    given: what the optimizer was given beyond its own defaults, and a candidate is given too.
    scale: the returns that count as 0 and 1.
    """

    __pydantic_config__ = STRICT

    name: str
    config: RunConfig
    given: dict[str, Setting]
    scale: tuple[float, float]
    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"{self.name}: a scale needs low < high, got {list(self.scale)}")


@dataclasses.dataclass(frozen=True)
class Scores:
    """A tier that trains. `resumes_exactly`: a run that was stopped ended as the one that was not;
    None where that was not tried."""

    __pydantic_config__ = STRICT

    suite: str
    seeds: tuple[int, ...]
    units: tuple[Unit, ...]
    resumes_exactly: bool | None = None

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < max(MIN_RUNS, len(self.seeds)):
            raise ValueError(f"at least {MIN_RUNS} distinct seeds are needed, got {self.seeds}")
        if not self.units or len({unit.name for unit in self.units}) < len(self.units):
            raise ValueError("units must be at least one, each with a name of its own")
        for unit in self.units:
            if tuple(run.seed for run in unit.runs) != self.seeds:
                raise ValueError(f"{unit.name} has other seeds than {self.seeds}")


@dataclasses.dataclass(frozen=True)
class Release:
    """An optimizer as it was: its name, settings, and sha256 of its code and weights.

    code: of all that `dependencies` lists; in baselines without them, of its package alone.
    dependencies: sha256 of each thing that it was built from, see `gate.dependencies`.
    """

    __pydantic_config__ = STRICT

    optimizer: str
    settings: dict[str, Setting]
    code: str
    weights: dict[str, str | None] | None
    versions: dict[str, str | None]
    hardware: dict[str, Any]
    git: dict[str, Any] | None
    dependencies: dict[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The whole file; a tier that was not recorded is None."""

    __pydantic_config__ = STRICT

    kind: Literal["rl-eval gate baseline"]
    format: int
    command: str
    release: Release
    numerics: Numerics | None
    probes: Scores | None
    benchmark: Scores | None

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return tuple(name for name in TIERS if getattr(self, name) is not None)


def arrays(
    runs: Sequence[Sequence[Run]],
) -> tuple[Float[np.ndarray, "run env"], Bool[np.ndarray, "run env"]]:
    """Scores and divergence of units that have as many runs each."""
    scores = np.array([[run.score for run in unit] for unit in runs], dtype=float).T
    return scores, np.array([[run.diverged for run in unit] for unit in runs]).T


def write(path: Path, baseline: Baseline) -> None:
    """Write a baseline with the digest of its content."""
    document = dataclasses.asdict(baseline)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**document, "sha256": digest(document)})


def load(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        BaselineError: it is missing or torn, foreign, of another format, or was changed.
    """
    try:
        document = read_object(path)
    except RecordError as error:
        raise BaselineError(str(error)) from None
    if document.get("kind") != KIND:
        raise BaselineError(f"{path}: not a baseline of the gate")
    if type(document.get("format")) is int and document["format"] > FORMAT:
        raise BaselineError(
            f"{path}: format {document['format']} is newer than {FORMAT}, the newest that this "
            "version reads; update rl-eval"
        )
    if document.get("format") != FORMAT:
        raise BaselineError(
            f"{path}: format {document.get('format')!r:.40}, and this version reads {FORMAT}; "
            "record it again"
        )
    recorded = document.pop("sha256", None)
    if recorded != digest(document):
        raise BaselineError(f"{path}: its content was changed after it was recorded (sha256)")
    try:
        baseline = read(Baseline, document, str(path))
    except SettingsError as error:
        raise BaselineError(str(error)) from None
    for unit in _units(baseline):
        if not all(math.isfinite(run.score) for run in unit.runs):
            raise BaselineError(f"{path}: {unit.name} has a score that is not a number")
    return baseline


def digest(document: Mapping[str, Any]) -> str:
    """sha256 of a JSON document, whatever the order of its keys and its layout."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _units(baseline: Baseline) -> list[Unit]:
    tiers = (baseline.probes, baseline.benchmark)
    return [unit for tier in tiers if tier is not None for unit in tier.units]
