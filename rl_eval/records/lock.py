"""One process per run directory: a lock file with a heartbeat."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rl_eval.errors import ExplainedError

NAME = "lock.json"
BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0  # without a heartbeat: its process is gone, whatever machine it was on


class LockedError(ExplainedError):
    """Another process is at work in the directory."""


@contextmanager
def locked(directory: Path) -> Iterator[str | None]:
    """Hold `directory` for this process; yields whose stale lock was taken over, if any.

    Raises:
        LockedError: held by a live process, which is named.
    """
    file = directory / NAME
    taken_over = _take(file)
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(file, done), daemon=True)
    beating.start()
    try:
        yield taken_over
    finally:
        done.set()
        beating.join()
        file.unlink(missing_ok=True)


def holder(directory: Path) -> str | None:
    """The live process that holds a directory, in words; None if none does."""
    owner = _owner(directory / NAME)
    return owner.name if owner and owner.alive else None


def _take(file: Path) -> str | None:
    """Create the lock; returns whose stale one was in the way."""
    part = file.with_name(f".{NAME}.{os.getpid()}")
    part.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    taken_over = None
    try:
        while True:
            try:
                os.link(part, file)  # fails if the file is there, over a network as well
                return taken_over
            except FileExistsError:
                owner = _owner(file)
            if owner is not None and owner.alive:
                raise LockedError(f"{file.parent} is in use by {owner.name}")
            if owner is not None and _bury(file, owner.inode):
                taken_over = owner.name
    finally:
        part.unlink(missing_ok=True)


def _bury(file: Path, inode: int) -> bool:
    """Remove a stale lock, unless somebody was quicker and the file is theirs now."""
    grave = file.with_name(f".{NAME}.stale.{os.getpid()}")
    try:
        file.rename(grave)
        if grave.stat().st_ino != inode:
            os.link(grave, file)
            return False
        return True
    except (FileNotFoundError, FileExistsError):
        return False
    finally:
        grave.unlink(missing_ok=True)


class _Owner(NamedTuple):
    name: str
    alive: bool
    inode: int


def _owner(file: Path) -> _Owner | None:
    """Who holds the lock and whether they live; None if there is no lock."""
    try:
        stat = file.stat()
        text = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    alive = time.time() - stat.st_mtime < STALE_SECONDS
    try:
        held = json.loads(text)
        pid, host = int(held["pid"]), str(held["host"])
    except (ValueError, KeyError, TypeError):
        return _Owner("an unreadable lock", alive, stat.st_ino)
    if host == socket.gethostname():
        alive = alive and _exists(pid)
    return _Owner(f"process {pid} on {host}", alive, stat.st_ino)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _beat(file: Path, done: threading.Event) -> None:
    while not done.wait(BEAT_SECONDS):
        try:
            os.utime(file)
        except OSError:
            return  # the directory was removed under us; the next write says so
