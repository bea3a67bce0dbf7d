"""What all failures share that need no more than their message, and which are the machine's."""

from __future__ import annotations

import errno
import sysconfig
import traceback
from pathlib import Path

_MACHINE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENOLCK,
    }
)


class ExplainedError(Exception):
    """One line for the person at the keyboard: what failed, on which file, and what to do."""


class MachineError(ExplainedError):
    """The machine failed and not the run, which can go on once the machine does."""


def machine_fault(error: BaseException | None) -> str | None:
    """What failed, in a line, if the machine did or another process is in the way; else None.

    Memory is not among them: how much a run needs follows from its settings.
    """
    while error is not None:
        if isinstance(error, MachineError):
            return str(error)
        if isinstance(error, OSError) and error.errno in _MACHINE:
            place = f"{error.filename}: " if error.filename else ""
            return f"{place}{error.strerror or error}"
        error = error.__cause__ or error.__context__
    return None


def cause(error: BaseException) -> str:
    """What someone else's code raised, in one line, with the last place in it that is theirs."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if "site-packages" not in frame.filename and not frame.filename.startswith(_LIBRARIES)
    ]
    where = [f" ({frame.filename}:{frame.lineno})" for frame in (theirs or frames)[-1:]]
    return f"{type(error).__name__}: {' '.join(str(error).split())}{''.join(where)}"


_LIBRARIES = (str(Path(__file__).parent), sysconfig.get_paths()["stdlib"], "<frozen")
