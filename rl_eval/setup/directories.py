"""Directories of runs and studies: their names, who may begin in one, what may be deleted."""

from __future__ import annotations

import shlex
from pathlib import Path

from rl_eval.config import RunConfig, config_id
from rl_eval.files import is_part
from rl_eval.records import lock
from rl_eval.records.removal import remove_run
from rl_eval.records.run import RecordError
from rl_eval.settings import SettingsError


def default_name(config: RunConfig) -> str:
    """<env>-<optimizer>-<id>, safe as a directory name."""
    name = f"{config.env.id}-{config.optimizer.name}"
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return f"{safe}-{config_id(config)}"


def rerun_command(out: Path, config: RunConfig) -> str:
    """The command that repeats a run from its own record."""
    file = out / "config.json" if len(config.seeds) == 1 else out / "seed-N" / "config.json"
    return shlex.join(["rl-eval", "train", "--config", str(file), "--out", "NEW_DIR"])


def refuse_taken(out: Path, file: str, command: str, beside: str | None = None) -> None:
    """A command begins in a directory of its own; `file` is in those where it has begun.

    Raises:
        SettingsError: there is more than a lock and the file `beside`.
    """
    if (out / file).exists():
        raise SettingsError(f"{out} is taken: `rl-eval {command} --resume {out}` goes on with it")
    names = [p.name for p in out.iterdir() if lock.NAME not in p.name and p.name != beside]
    if others := [name for name in names if not is_part(name)]:
        raise SettingsError(f"{out} is not empty, it has {sorted(others)[0]}; give another --out")


def remove_runs(directories: list[Path]) -> None:
    """Delete what runs wrote, and nothing else.

    Raises:
        SettingsError: something else is there.
        LockedError: another process is at work there.
    """
    for directory in directories:
        try:
            remove_run(directory)
        except RecordError as error:
            raise SettingsError(f"--overwrite: {error}") from None
