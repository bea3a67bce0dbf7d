"""Does envpool's XLA interface work here? Asked of a child process, since its failures are aborts.

On some combinations of GPU, jax and envpool the compiled step kills the process (envpool threads
#303, #313, #391). The answer is cached for as long as versions, device and driver are the same;
what is no answer (a killed child, a full memory, an import that fails) is asked again.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import jax

from rl_eval import caches

TIMEOUT = 180.0  # seconds; a healthy check takes about 6 on one core
# Without the working directory: a file of the user's there may be called as a module of Python.
CHECK = (sys.executable, "-P", "-m", "rl_eval.envs.xla_selftest")
STARTED = "the interface is tried"  # the child's last word before it may crash

_PACKAGES = (
    "envpool",
    "jax",
    "jaxlib",
    *(f"jax-{kind}-{part}" for kind in ("cuda12", "cuda13") for part in ("plugin", "pjrt")),
    *(f"jax-{kind}-{part}" for kind in ("rocm60", "rocm7") for part in ("plugin", "pjrt")),
)

# How a program ends by its own fault; other signals came from outside.
_CRASHES = {
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGTRAP,
}
_SHORTAGES = (
    "resource_exhausted",
    "out of memory",
    "out_of_memory",
    "bad_alloc",
    "memoryerror",
    "cannot allocate",
    "can't start new thread",
    "resource temporarily unavailable",
    "no space left",
)


class Verdict(NamedTuple):
    """Whether the XLA path can be used, and why."""

    works: bool
    reason: str


def verdict(
    command: Sequence[str] = CHECK, timeout: float = TIMEOUT, fresh: bool = False
) -> Verdict:
    """The cached answer for this machine and its versions, or a new one, also where `fresh`."""
    path, key = cache_path(), version_set()
    known = _read(path)
    if key in known and not fresh:
        return known[key]
    found, conclusive = ask_child(command, timeout)
    known.pop(key, None)
    if conclusive or fresh:
        _write(path, {**known, key: found} if conclusive else known)
    return found


def version_set() -> str:
    """Everything the answer may depend on."""
    device = jax.devices()[0]
    where = f"{device.platform} {device.device_kind} {platform.system()}-{platform.machine()}"
    versions = " ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)))
    driver = "" if device.platform == "cpu" else f" driver {_driver()}"
    return f"{versions} python {platform.python_version()} {where}{driver}"


def cache_path() -> Path:
    """In the user's cache folder."""
    return caches.cache().folder / "envpool-xla.json"


def ask_child(command: Sequence[str], timeout: float) -> tuple[Verdict, bool]:
    """Run the check. The flag says whether the answer would be the same next time."""
    env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if jax.default_backend() == "cpu":
        env["JAX_PLATFORMS"] = "cpu"
    try:
        done = subprocess.run(
            command,
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(False, f"XLA self-test gave no answer within {timeout:g} s"), False
    except OSError as error:
        return Verdict(False, f"XLA self-test could not be started: {error}"), False
    if done.returncode == 0:
        return Verdict(True, "XLA self-test passed"), True
    if done.returncode < 0:
        cause = f"was killed by {_signal(-done.returncode)}"
    else:
        cause = f"failed with exit code {done.returncode}"
    lines = done.stderr.strip().splitlines() or ["no message"]
    told = Verdict(False, f"XLA self-test {cause}: {lines[-1][:300]}")
    return told, STARTED in done.stdout and _is_its_fault(done.returncode, done.stderr)


def _is_its_fault(code: int, said: str) -> bool:
    """Whether a child that had begun to try the interface failed because of that."""
    if code < 0 and -code not in _CRASHES:
        return False
    return not any(word in said.lower() for word in _SHORTAGES)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"signal {number}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _driver() -> str:
    """The version of the GPU's driver, and of the runtime behind jax."""
    try:
        driver = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except (OSError, IndexError):
        driver = "unknown"
    return " ".join(f"{driver} {jax.devices()[0].client.platform_version}".split())


def _read(path: Path) -> dict[str, Verdict]:
    """Known verdicts; an unreadable or foreign file is no verdict."""
    try:
        known = json.loads(path.read_text())
        return {
            str(key): Verdict(bool(works), str(reason)) for key, (works, reason) in known.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(path: Path, known: dict[str, Verdict]) -> None:
    """Replace the file at once; an unwritable cache costs only the next start its time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(known, file, indent=1)
        os.replace(file.name, path)
    except OSError:
        return
