"""Reading record files that may be torn, missing or not ours: one line of reason, never a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 50_000_000  # no record of a run is larger; a wrong file may be


class RecordError(ValueError):
    """A record that cannot be read; the message is one line that names the file."""


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        RecordError: it is missing, unreadable or torn, or holds something else.
    """
    value = _parse(path, _text(path))
    if not isinstance(value, dict):
        raise RecordError(f"{path}: expected a JSON object")
    return value


def read_lines(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """The objects of a .jsonl file, and what was left out, in one line.

    A writer that was killed leaves a torn last line; everything before it is good.

    Raises:
        RecordError: the file is missing or unreadable.
    """
    rows, bad = [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        try:
            row = _parse(path, line)
        except RecordError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif line.strip():
            bad.append(number)
    if not bad:
        return rows, None
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return rows, f"{path}: line {bad[0]}{more} left out: not a JSON object"


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(f"{path}: larger than {MAX_BYTES} bytes, not a record")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path}: not UTF-8 text") from None


def _parse(path: Path, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not valid JSON: {error}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
