"""Where a number came from: versions, hardware, code, and the command that repeats it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

PACKAGES = (
    "rl-eval",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "gymnax",
    "envpool",
    "gymnasium",
    "ale-py",
    "numpy",
)


def versions() -> dict[str, str | None]:
    """Installed versions of all that decides numbers; None for what is missing."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_state(file: Path = Path(__file__)) -> dict[str, Any] | None:
    """Commit of the checkout that `file` is in and whether it was changed; None outside one."""

    def git(*args: str) -> str:
        # Without optional locks: a run killed here must not leave its user's index locked.
        command = ["git", "--no-optional-locks", "-C", str(file.parent), *args]
        out = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return out.stdout.strip()

    try:
        if not git("ls-files", str(file)):
            return None
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def provenance() -> dict[str, Any]:
    """Everything about the machine and the code that decides or explains a number."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "devices": [d.device_kind for d in jax.devices()],
        "git": git_state(),
    }
