"""Whether a process that a file names still lives, on the machine that it was on."""

from __future__ import annotations

import functools
import os
import socket
import time
from pathlib import Path

SLACK_SECONDS = 5.0  # by which clocks of one machine may differ


@functools.cache
def whereabouts() -> dict[str, str]:
    """What tells this machine, since its start, from others, and one container from the next."""
    return {"host": socket.gethostname(), "boot": _boot(), "processes": _namespace()}


def started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None where the system does not tell."""
    fields = _facts(pid)
    return int(fields[19]) if fields else None


def lives(pid: int, start: object, since: float | None = None) -> bool:
    """Whether process `pid` of this machine is the one that began at `start` (see `started`).

    One that was killed and that its parent has not yet looked at does not live. `since`: seconds
    since the epoch at which it was alive, for records that do not have a start: one that began
    later has inherited its number.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    fields = _facts(pid)
    if not fields:
        return True
    if fields[0] in "ZX":
        return False
    now = int(fields[19])
    if since is not None:
        return _epoch(now) <= since + SLACK_SECONDS
    return start is None or start == now


def _facts(pid: int) -> list[str]:
    """What Linux says of a process, from its state on; see proc(5). Empty elsewhere."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 19 else []


def _epoch(ticks: int) -> float:
    """Seconds since the epoch at a count of ticks since the machine started."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
