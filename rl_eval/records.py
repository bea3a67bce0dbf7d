"""One run, one directory: the only thing that running and reporting share."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1
Status = Literal["running", "completed", "diverged", "failed"]


class RunExistsError(FileExistsError):
    """The directory already holds a run; runs are never overwritten silently."""


@dataclasses.dataclass(frozen=True)
class MetricsRow:
    """One line of metrics.jsonl: what happened since the line before it.

    Units: env_steps are agent steps per seed since the start (frames: emulator frames, Atari
    only), wall_s and sps leave compilation out, losses and norms are means over the gradient
    steps taken. Episode columns cover full games that ended since the line before; null without.
    """

    iteration: int
    env_steps: int
    frames: int | None
    gradient_steps: int
    wall_s: float
    sps: float
    loss: float | None
    policy_loss: float | None
    value_loss: float | None
    entropy: float | None
    approx_kl: float | None
    clipfrac: float | None
    explained_variance: float | None
    grad_norm: float | None
    update_norm: float | None
    param_norm: float | None
    episode_return_mean: float | None
    episode_return_min: float | None
    episode_return_max: float | None
    episode_length_mean: float | None
    episodes: int


@dataclasses.dataclass(frozen=True)
class EvalRow:
    """One line of eval.jsonl: whole games played by the parameters of that moment.

    Units as in `MetricsRow`; lengths are agent steps, returns unclipped. `diverged`: no game was
    played, and every return is the stated score of divergence.
    """

    iteration: int
    env_steps: int
    frames: int | None
    gradient_steps: int
    wall_s: float
    policy: str
    diverged: bool
    episodes: int
    return_mean: float | None
    return_std: float | None
    return_min: float | None
    return_max: float | None
    length_mean: float | None
    returns: list[float]
    lengths: list[int]


class RunDirectory:
    """Writes config.json, metrics.jsonl and status.json of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Make the directory and write what the run is.

        Raises:
            RunExistsError: there is something in it already.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunExistsError(str(self.path))
        self.path.mkdir(parents=True, exist_ok=True)
        document = {"schema": SCHEMA, "provenance": provenance, "config": config}
        write_json(self.path / "config.json", document)
        self.set_status("running")

    def append(self, row: MetricsRow) -> None:
        """Add one line; a killed writer leaves at most one torn last line."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(row), allow_nan=False) + "\n")

    def set_status(self, status: Status, reason: str | None = None, **facts: Any) -> None:
        """Replace status.json; `time` is seconds since the epoch and serves as a heartbeat."""
        document = {"schema": SCHEMA, "status": status, "reason": reason, "time": time.time()}
        write_json(self.path / "status.json", {**document, **facts})


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)
