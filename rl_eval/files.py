"""Files that a stranger may have written, or a power cut: bounded when read, whole when written."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

MAX_DEPTH = 100  # of values inside each other; ours have fewer than ten


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Nothing else is waited for: a FIFO has no end, a device may have none.

    Raises:
        OSError: missing, unreadable, no regular file, or larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return data


def read_text(path: Path, most: int) -> str:
    """As `read_bytes`, in UTF-8; a byte order mark is dropped.

    Raises:
        OSError: as `read_bytes`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """The JSON value in a text.

    Raises:
        ValueError: not JSON, a key that comes twice, or values too deep inside each other.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("values are too deep inside each other") from None


def to_json(value: Any) -> str:
    """JSON in one line; infinities and NaN are kept as Python has them."""
    return json.dumps(value)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return found


def write_whole(path: Path, data: str | bytes) -> None:
    """Replace a file in one step, so that neither a kill nor a power cut leaves half of it.

    Raises:
        OSError: the disk refuses; what was there stays.
    """
    content = data.encode() if isinstance(data, str) else data
    # Its name cannot be foreseen, so nobody can have put a link there.
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o666 & ~_umask())
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the disk remember what was renamed in a directory, where the system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems cannot
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Have the disk keep all files of a directory, before it gets the name that counts."""
    for folder, _, names in os.walk(path):
        for name in names:
            with open(Path(folder, name), "rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(folder))


def is_part(name: str) -> bool:
    """Whether a file name is that of half a file, which a killed writer left."""
    return name.startswith(".") and (name.endswith(".part") or name.rpartition(".")[2].isdecimal())


def _umask() -> int:
    """Told by the system without changing it, where it can; else the usual one."""
    try:
        status = Path("/proc/self/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("Umask:"))
        return int(line.split()[1], 8)
    except (OSError, StopIteration, ValueError):
        return 0o022
