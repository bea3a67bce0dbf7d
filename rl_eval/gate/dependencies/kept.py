"""What each run depended on, beside the runs: one file for all that depended on the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rl_eval.gate.dependencies.snapshot import Dependencies, changes
from rl_eval.records.run import RecordError, read_object, write_json
from rl_eval.settings import SettingsError, read

FOLDER, FILE = "dependencies", "dependencies.json"


def keep(found: Dependencies, run: Path, folder: Path) -> None:
    """Note in the directory `run` what it depended on; the list itself goes into `folder`."""
    listed = folder / FOLDER / f"{found.digest}.json"
    if not listed.is_file():
        listed.parent.mkdir(parents=True, exist_ok=True)
        write_json(listed, dataclasses.asdict(found))
    write_json(run / FILE, {"digest": found.digest})


def stale(run: Path, folder: Path) -> list[str]:
    """Why a run cannot stand for one made now; nothing if it can."""
    try:
        digest = read_object(run / FILE).get("digest")
        listed = folder / FOLDER / f"{digest}.json"
        found = read(Dependencies, read_object(listed), str(listed))
    except (RecordError, SettingsError):
        return ["what it depended on is not on record"]
    return changes(found)
