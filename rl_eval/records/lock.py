"""One process per run directory: a lock file with a heartbeat.

The file is created by O_EXCL, which file systems without hard links have too. A process of this
machine lives if the system says so, however long it was paused; of others there is only the
heartbeat to go by.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rl_eval.errors import MachineError
from rl_eval.records.processes import lives, started, whereabouts

NAME = "lock.json"
BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0  # without a heartbeat: a process of another machine is taken to be gone
TAKING_SECONDS = 5.0  # for whoever is just now taking a stale lock away
MAX_BYTES = 4096


class LockedError(MachineError):
    """Another process is at work in the directory."""


@contextmanager
def locked(directory: Path) -> Iterator[str | None]:
    """Hold `directory` for this process; yields whose stale lock was taken over, if any.

    Raises:
        LockedError: held by a live process, which is named.
        OSError: the file system refuses the file.
    """
    file, token = directory / NAME, uuid.uuid4().hex
    taken_over = _take(file, token)
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(file, token, done), daemon=True)
    beating.start()
    try:
        yield taken_over
    finally:
        done.set()
        beating.join()
        with suppress(OSError, LockedError), _alone(directory):
            _remove(file, token)


def check_held(directory: Path) -> None:
    """Make sure that no other process took a directory that this one holds.

    Raises:
        LockedError: it was paused for so long that another machine took over.
    """
    owner = _owner(directory / NAME)
    if owner is not None and not owner.here:
        raise LockedError(f"{directory} was taken over by {owner.name} while this one was paused")


def holder(directory: Path) -> str | None:
    """The live process that holds a directory, in words; None if none does."""
    owner = _owner(directory / NAME)
    return owner.name if owner and owner.alive else None


def _take(file: Path, token: str) -> str | None:
    """Create the lock; whose stale one was in the way."""
    taken_over = None
    document = {"token": token, "pid": os.getpid(), "started": started(os.getpid())}
    text = json.dumps({**document, **whereabouts()})
    deadline = time.monotonic() + TAKING_SECONDS
    with _alone(file.parent):
        while not _create(file, text):
            owner = _owner(file)
            if owner is not None and owner.alive:
                raise LockedError(f"{file.parent} is in use by {owner.name}")
            if owner is not None and _remove(file, owner.token):
                taken_over = owner.name
            if time.monotonic() > deadline:
                raise LockedError(f"{file}: it comes back as often as it is taken away")
    return taken_over


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other processes of this machine from judging and removing the lock meanwhile.

    Where the file system cannot (some network ones), `_remove` still takes back a lock that
    another was quicker to create.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + TAKING_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LockedError(f"{directory} is just now taken by another process") from None
                time.sleep(0.02)
            except OSError:
                break
        yield
    finally:
        os.close(descriptor)


def _create(file: Path, text: str) -> bool:
    """Whether there was none, and it is there with this text now."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError:  # a full disk: what is there is nobody's
        file.unlink(missing_ok=True)
        raise
    return True


def _remove(file: Path, token: str | None) -> bool:
    """Remove the lock with that token; whether it was still that one.

    The file is moved aside first and looked at then: another's goes back.
    """
    grave = file.with_name(f".{NAME}.{uuid.uuid4().hex}.part")
    try:
        file.rename(grave)
    except FileNotFoundError:
        return False
    try:
        owner = _owner(grave)
        mine = owner is not None and owner.token == token
        if not mine:
            _create(file, _read(grave)[0])
        return mine
    finally:
        grave.unlink(missing_ok=True)


class _Owner(NamedTuple):
    name: str
    alive: bool
    here: bool  # it is this process
    token: str | None = None


def _owner(file: Path) -> _Owner | None:
    """Who holds the lock and whether they live; None if there is no lock.

    Raises:
        LockedError: what is there is no file; nobody of us made it, so nobody removes it.
    """
    try:
        text, beat = _read(file)
    except FileNotFoundError:
        return None
    try:
        held: Any = json.loads(text)
        pid, host, token = int(held["pid"]), str(held["host"])[:100], held.get("token")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return _Owner("an unreadable lock", _beats(file, beat), here=False)
    here = whereabouts()
    if "started" in held:
        near = all(held.get(name) == value for name, value in here.items())
        alive = lives(pid, held["started"]) if near else _beats(file, beat)
    else:  # of an earlier version, which wrote less
        near = host == here["host"]
        alive = lives(pid, None, since=beat) if near else _beats(file, beat)
    mine = near and alive and pid == os.getpid()
    token = token if isinstance(token, str) else None
    return _Owner(f"process {pid} on {host}", alive, mine, token)


def _beats(file: Path, beat: float) -> bool:
    """Whether there was a heartbeat lately, by the clock of the file system.

    One from the future is none: heartbeats are of that clock too.
    """
    try:
        with tempfile.NamedTemporaryFile(prefix=".now.", suffix=".part", dir=file.parent) as now:
            age = os.fstat(now.fileno()).st_mtime - beat
    except OSError:
        age = time.time() - beat
    return abs(age) < STALE_SECONDS


def _read(file: Path) -> tuple[str, float]:
    """The text of a lock and the time of its last heartbeat, without waiting or following links."""
    mode = file.lstat().st_mode
    if stat.S_ISREG(mode):
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            text = opened.read(MAX_BYTES).decode("utf-8", "replace")
            return text, os.fstat(descriptor).st_mtime
    kind = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a FIFO", stat.S_IFDIR: "a directory"}
    raise LockedError(
        f"{file} is {kind.get(stat.S_IFMT(mode), 'no regular file')} and not a lock of rl-eval; "
        "remove it"
    )


def _beat(file: Path, token: str, done: threading.Event) -> None:
    while not done.wait(BEAT_SECONDS):
        with suppress(OSError, LockedError):
            owner = _owner(file)
            if owner is None or owner.token != token:
                return  # removed under us, or another's: see `check_held`
            os.utime(file)
