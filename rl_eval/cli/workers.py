"""Flags of every command that runs trials."""

from __future__ import annotations

import dataclasses
import shlex
import sys

from sweeps.execution.local import PATIENCE_S


@dataclasses.dataclass(frozen=True)
class Flags:
    """Where runs go."""

    workers: str | None = None
    """Processes of one core each: local (the default: one a core; where there are GPUs one a GPU)
    or a number. here: this process. Or tasks of a Ray cluster: ray (one of this machine's, or that
    of RAY_ADDRESS), ray://HOST:PORT, HOST:PORT."""
    cpus: float | None = None
    """Cores of a Ray task, which may be a fraction. Default 1."""
    gpus: float | None = None
    """GPUs of a Ray task, which may be a fraction. Default 0."""
    patience: float = PATIENCE_S
    """Seconds without a sign of life after which a worker is taken to hang."""


def typed() -> str:
    """The command as it was typed, for records."""
    return shlex.join(["rl-eval", *sys.argv[1:]])
