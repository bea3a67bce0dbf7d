"""Where things are kept that can be made again: verdicts, compiled programs."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple


class Cache(NamedTuple):
    """A folder that can be written, and why it is not in the user's cache if it is not."""

    folder: Path
    instead: str | None


def cache() -> Cache:
    """`$XDG_CACHE_HOME/rl_eval` or `~/.cache/rl_eval`; below the temporary folder where neither
    can be written, as in a container whose user has no home."""
    return _cache(os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME"))


def compiled() -> Path:
    """Of compiled programs: JAX_COMPILATION_CACHE_DIR, or a folder for processors of this kind.

    A program for another kind of processor, met on a home that machines share, could not run.
    """
    if given := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(given)
    return cache().folder / "compiled" / _processor()


@functools.cache
def _cache(given: str | None, home: str | None) -> Cache:
    """`home` is asked for again below; it is here so that another one gives another answer."""
    try:
        folder = (Path(given) if given else Path.home() / ".cache") / "rl_eval"
    except RuntimeError:
        return Cache(_temporary(), "there is no home folder")
    if _writable(folder):
        return Cache(folder, None)
    return Cache(_temporary(), f"{folder} cannot be written")


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _temporary() -> Path:
    """A folder of this user's alone: the one from last time, or a new one."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"rl_eval-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == user
        if mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="rl_eval-"))


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    named = f"{platform.machine()} {platform.processor()} {flags}"
    return hashlib.sha256(named.encode()).hexdigest()[:8]
