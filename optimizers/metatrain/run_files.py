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

from optimizers.metatrain.checkpoint import write_whole


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1) + "\n"
    write_whole(path, lambda part: part.write_text(text))


def append_row(path: Path, row: dict[str, Any]) -> None:
    """One line of a jsonl file."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Every whole row; a last line that was cut off is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def forget_after(path: Path, iteration: int) -> None:
    """Drop the rows of iterations that were lost with the checkpoint after them."""
    if path.exists():
        kept = [json.dumps(row) for row in read_rows(path) if row["iteration"] <= iteration]
        text = "".join(f"{line}\n" for line in kept)
        write_whole(path, lambda part: part.write_text(text))
