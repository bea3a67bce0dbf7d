"""One run, one directory: the only thing that running and reporting share."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from rl_eval import files
from rl_eval.errors import ExplainedError
from rl_eval.records import lock
from rl_eval.records.finite import plain

SCHEMA = 1
MAX_BYTES = 50_000_000  # no record is larger; a wrong file may be
MAX_LINES_BYTES = 500_000_000  # of a .jsonl file
METRICS, EVALUATIONS, RESUMES = "metrics.jsonl", "eval.jsonl", "resumes.jsonl"
Status = Literal["running", "completed", "diverged", "pruned", "failed"]
TRAINED_WITH = "trained_with"  # of a record: members trained together, which moves the rounding
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
    played, and every return is the stated score of divergence. A game in which a reward or an
    observation was not finite has no return (null), and so its evaluation has no mean.
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
    returns: list[float | None]
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
        """Whether anything is there but a lock and what a killed writer left half done."""
        if not self.path.exists():
            return False
        names = [] if not self.path.is_dir() else [p.name for p in self.path.iterdir()]
        mine = all(lock.NAME in name or files.is_part(name) for name in names)
        return not self.path.is_dir() or not mine

    def append(self, row: MetricsRow | EvalRow) -> None:
        """Add one line; a killed writer leaves at most one torn last line."""
        row = plain(row)
        name = METRICS if isinstance(row, MetricsRow) else EVALUATIONS
        _append(self.path / name, dataclasses.asdict(row))
        self.also(row)

    def rewind(self, iteration: int) -> list[str]:
        """Drop the lines of later iterations and damaged ones; what was lost, in words."""
        lost = []
        for file in (self.path / METRICS, self.path / EVALUATIONS):
            if file.is_file():
                rows, damaged = kept_lines(file)
                whole = [row for row in rows if type(row.get("iteration")) is int]
                kept = [row for row in whole if row["iteration"] <= iteration]
                files.write_whole(file, "".join(json.dumps(row) + "\n" for row in kept))
                lost += [f"{file}: line {number} is damaged and left out" for number in damaged]
        if iteration and not (self.path / METRICS).is_file():
            lost.append(f"{self.path / METRICS} is missing: the lines of before are lost")
        return lost

    def resumed(self, note: Mapping[str, Any]) -> None:
        """Record that, when and how the run was resumed."""
        _append(self.path / RESUMES, note)

    def times_resumed(self) -> int:
        """How often the run was resumed so far."""
        file = self.path / RESUMES
        return len(_content(file, MAX_BYTES).splitlines()) if file.is_file() else 0

    def set_status(self, status: Status, reason: str | None = None, **facts: Any) -> None:
        """Replace status.json; `time` is seconds since the epoch and serves as a heartbeat."""
        document = {"schema": SCHEMA, "status": status, "reason": reason, "time": time.time()}
        write_json(self.path / "status.json", plain({**document, **facts}))

    def set_cost(self, cost: Mapping[str, Any]) -> None:
        """Replace cost.json."""
        write_json(self.path / "cost.json", plain(cost))


def read_lines(file: Path) -> tuple[list[dict[str, Any]], bool]:
    """The lines of a .jsonl file, and whether a torn last one was dropped.

    Raises:
        RecordError: a line that is not the last is damaged.
    """
    rows, damaged = kept_lines(file)
    last = len(rows) + len(damaged)
    for number in damaged:
        if number != last:
            raise RecordError(f"{file}: line {number} is damaged")
    return rows, bool(damaged)


def kept_lines(file: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The whole lines of a .jsonl file, and the numbers of those that are not.

    A kill tears the last one; a power cut may leave zeros anywhere.

    Raises:
        RecordError: it cannot be read, or is far larger than any.
    """
    rows, damaged = [], []
    lines = _content(file, MAX_LINES_BYTES).split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if number < len(lines) else None
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif line or number < len(lines):
            damaged.append(number)
    return rows, damaged


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        RecordError: it is missing, unreadable, larger than any record or torn, or holds something
            else, or a key twice.
    """
    try:
        value = files.parse_json(_content(path, MAX_BYTES))
    except ValueError as error:
        twice = f" ({error})" if "twice" in str(error) else ""
        raise RecordError(f"{path}: torn or not JSON{twice}") from None
    if not isinstance(value, dict):
        raise RecordError(f"{path}: expected a JSON object")
    return value


def read_record(path: Path) -> dict[str, Any]:
    """The JSON object in a file, of a schema that this version reads.

    Raises:
        RecordError: as `read_object`; it has no schema, or a newer one.
    """
    document = read_object(path)
    schema = document.get("schema")
    if type(schema) is not int:
        raise RecordError(f"{path}: not a record of this program (it has no schema)")
    if schema > SCHEMA:
        raise RecordError(
            f"{path}: schema {schema} is newer than {SCHEMA}, the newest that this version reads; "
            "update rl-eval"
        )
    return document


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    files.write_whole(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _content(path: Path, most: int) -> bytes:
    try:
        return files.read_bytes(path, most)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None


def _append(path: Path, document: Mapping[str, Any]) -> None:
    """Add a line to a .jsonl file; after one that a full disk tore, on a line of its own."""
    line = json.dumps(document, allow_nan=False).encode() + b"\n"
    with path.open("a+b") as file:
        if file.seek(0, 2):
            file.seek(-1, 2)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
