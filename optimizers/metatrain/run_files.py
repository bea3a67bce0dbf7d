"""The folder of one meta-training run.

config.json       the configuration, digests of the data, versions
checkpoint.npz    everything needed to go on
theta.msgpack     theta at the last checkpoint, at the end of the run: the result
thetas/           theta each time the metric was taken, by iteration
curve.jsonl       meta-loss, gradient norms and counts, a row every few iterations
metric.jsonl      the fixed-seed metric of theta and of Adam
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optimizers.weights.files import read_bytes, write_whole


def write_json(path: Path, value: Any) -> None:
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def append_row(path: Path, row: dict[str, Any]) -> None:
    """One line of a jsonl file."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Every whole row; what a kill tore or a power cut zeroed is left out."""
    rows = []
    for line in read_bytes(path).split(b"\n") if path.exists() else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def forget_after(path: Path, iteration: int) -> None:
    """Drop the rows of iterations that were lost with the checkpoint after them."""
    if path.exists():
        numbered = [row for row in read_rows(path) if isinstance(row.get("iteration"), int)]
        kept = [json.dumps(row) for row in numbered if row["iteration"] <= iteration]
        write_whole(path, "".join(f"{line}\n" for line in kept).encode())
