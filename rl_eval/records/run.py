"""One run, one directory: the only thing that running and reporting share."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from rl_eval.errors import ExplainedError
from rl_eval.records import lock

SCHEMA = 1
MAX_BYTES = 200_000_000  # no record is larger; a wrong file may be
METRICS, EVALUATIONS, RESUMES = "metrics.jsonl", "eval.jsonl", "resumes.jsonl"
Status = Literal["running", "completed", "diverged", "pruned", "failed"]
INTERRUPTED = "interrupted"  # begins the reason of a run that failed only for being stopped


class RunExistsError(FileExistsError):
    """The directory already holds a run; runs are never overwritten silently."""


class RecordError(ExplainedError):
    """A record that cannot be read; the message names the file."""


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
    """Writes the files of one run. `also` is told every line that is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.also: Callable[[MetricsRow | EvalRow], object] = lambda row: None
        self.checkpoints = path / "checkpoints"

    def create(self, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Write what the run is, into a directory that holds no other.

        Raises:
            RunExistsError: there is something in it already.
        """
        if self.taken():
            raise RunExistsError(str(self.path))
        self.path.mkdir(parents=True, exist_ok=True)
        document = {"schema": SCHEMA, "provenance": provenance, "config": config}
        write_json(self.path / "config.json", document)
        self.set_status("running")

    def taken(self) -> bool:
        """Whether anything but a lock is there."""
        if not self.path.exists():
            return False
        return not self.path.is_dir() or any(lock.NAME not in p.name for p in self.path.iterdir())

    def append(self, row: MetricsRow | EvalRow) -> None:
        """Add one line; a killed writer leaves at most one torn last line."""
        name = METRICS if isinstance(row, MetricsRow) else EVALUATIONS
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(row), allow_nan=False) + "\n")
        self.also(row)

    def rewind(self, iteration: int) -> None:
        """Drop the lines of later iterations, and a torn one."""
        for file in (self.path / METRICS, self.path / EVALUATIONS):
            if file.is_file():
                kept = [row for row in read_lines(file)[0] if row["iteration"] <= iteration]
                _write_whole(file, "".join(json.dumps(row) + "\n" for row in kept))

    def resumed(self, note: Mapping[str, Any]) -> None:
        """Record that, when and how the run was gone on with."""
        with (self.path / RESUMES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(note, allow_nan=False) + "\n")

    def times_resumed(self) -> int:
        """How often the run was gone on with so far."""
        file = self.path / RESUMES
        return len(file.read_bytes().splitlines()) if file.is_file() else 0

    def set_status(self, status: Status, reason: str | None = None, **facts: Any) -> None:
        """Replace status.json; `time` is seconds since the epoch and serves as a heartbeat."""
        document = {"schema": SCHEMA, "status": status, "reason": reason, "time": time.time()}
        write_json(self.path / "status.json", {**document, **facts})


def read_lines(file: Path) -> tuple[list[dict[str, Any]], bool]:
    """The lines of a .jsonl file, and whether a torn last one was dropped.

    Raises:
        RecordError: a line that is not the last is damaged.
    """
    rows = []
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if number < len(lines) else None
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif number < len(lines) - 1:
            raise RecordError(f"{file}: line {number} is damaged")
        elif line:
            return rows, True
    return rows, False


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        RecordError: it is missing, unreadable or torn, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(f"{path}: larger than {MAX_BYTES:,} bytes, not a record")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise RecordError(f"{path}: torn or not JSON") from None
    if not isinstance(value, dict):
        raise RecordError(f"{path}: expected a JSON object")
    return value


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    _write_whole(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
