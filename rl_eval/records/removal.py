"""Deleting what a run wrote, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from rl_eval import files
from rl_eval.records import lock
from rl_eval.records.lock import LockedError, holder
from rl_eval.records.run import (
    EVALUATIONS,
    METRICS,
    RESUMES,
    SCHEMA,
    RecordError,
    read_object,
)

FILES = frozenset(
    {"config.json", "status.json", "cost.json", "rungs.json", METRICS, EVALUATIONS, RESUMES}
)
FOLDERS = frozenset({"checkpoints", "tensorboard", "wandb"})


def remove_run(directory: Path) -> None:
    """Delete one seed's run directory; one that is not there or holds nothing is as good.

    Raises:
        RecordError: it is no run's, or has something in it that no run wrote.
        LockedError: a process is at work there.
    """
    if not directory.exists() and not directory.is_symlink():
        return
    if directory.is_symlink() or not directory.is_dir():
        raise RecordError(f"{directory} is not a run directory")
    inside = [p for p in directory.iterdir() if lock.NAME not in p.name]
    inside = [p for p in inside if not files.is_part(p.name)]
    if inside:
        _check_run(directory, inside)
    if (user := holder(directory)) is not None:
        raise LockedError(f"{directory} is in use by {user}")
    shutil.rmtree(directory)


def _check_run(directory: Path, inside: list[Path]) -> None:
    config = directory / "config.json"
    if not config.is_file():
        raise RecordError(f"{directory} is not a run directory (it has no config.json)")
    document = read_object(config)
    schema = document.get("schema")
    if type(schema) is not int or schema > SCHEMA or not {"config", "provenance"} <= set(document):
        raise RecordError(f"{config} is not of a run, so {directory} is not deleted")
    for path in inside:
        known = FOLDERS if path.is_dir() and not path.is_symlink() else FILES
        if path.name not in known:
            raise RecordError(f"{path} was not written by a run; move it away")
    folder = directory / "checkpoints"
    for path in folder.iterdir() if folder.is_dir() else ():
        if not path.name.isdecimal() and not path.name.startswith(".part-"):
            raise RecordError(f"{path} was not written by a run; move it away")
