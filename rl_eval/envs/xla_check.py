"""Does envpool's XLA interface work here? Asked of a child process, since its failures are aborts.

On some combinations of GPU, jax and envpool the compiled step kills the process (envpool threads
#303, #313, #391). The answer is cached per version set.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax

TIMEOUT = 180.0  # seconds; a healthy check takes about 6 on one core
CHECK = (sys.executable, "-m", "rl_eval.envs.xla_check")


class Verdict(NamedTuple):
    """Whether the XLA path can be used, and why."""

    works: bool
    reason: str


def verdict(command: Sequence[str] = CHECK, timeout: float = TIMEOUT) -> Verdict:
    """The cached answer for the installed versions, or a fresh one."""
    path, key = cache_path(), version_set()
    known = _read(path)
    if key in known:
        return known[key]
    found, conclusive = ask_child(command, timeout)
    if conclusive:
        _write(path, {**known, key: found})
    return found


def version_set() -> str:
    """Everything the answer may depend on."""
    names = ("envpool", "jax", "jaxlib")
    device = jax.devices()[0].device_kind
    where = f"{jax.default_backend()} {device} {platform.system()}-{platform.machine()}"
    versions = " ".join(f"{name} {version(name)}" for name in names)
    return f"{versions} python {platform.python_version()} {where}"


def cache_path() -> Path:
    """In the user's cache folder; XDG_CACHE_HOME is respected."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "rl_eval" / "envpool_xla.json"


def ask_child(command: Sequence[str], timeout: float) -> tuple[Verdict, bool]:
    """Run the check. The flag says whether the answer would be the same next time."""
    env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if jax.default_backend() == "cpu":
        env["JAX_PLATFORMS"] = "cpu"
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict(False, f"XLA self-test gave no answer within {timeout:g} s"), False
    except OSError as error:
        return Verdict(False, f"XLA self-test could not be started: {error}"), False
    if done.returncode == 0:
        return Verdict(True, "XLA self-test passed"), True
    if done.returncode < 0:
        cause = f"was killed by {signal.Signals(-done.returncode).name}"
    else:
        cause = f"failed with exit code {done.returncode}"
    lines = done.stderr.strip().splitlines() or ["no message"]
    return Verdict(False, f"XLA self-test {cause}: {lines[-1][:300]}"), True


def check() -> None:
    """Step a pool inside a jitted scan and compare it with its twin on the host."""
    import jax.numpy as jnp
    import numpy as np

    from rl_eval.envs.base import Layout
    from rl_eval.envs.envpool import AtariEnv
    from rl_eval.envs.protocols import CLASSIC

    traced, hosted = (
        AtariEnv("Pong-v5", Layout(2), CLASSIC, jittable, "self-test") for jittable in (True, False)
    )
    actions = np.arange(16, dtype=np.int32).reshape(8, 2) % traced.num_actions
    state, obs = traced.reset()
    steps = jax.jit(functools.partial(jax.lax.scan, traced.step))(state, jnp.asarray(actions))[1]
    host_state, host_obs = hosted.reset()
    np.testing.assert_array_equal(obs, host_obs)
    for t, action in enumerate(actions):
        host_state, step = hosted.step(host_state, action)
        jax.tree.map(lambda x, y, t=t: np.testing.assert_array_equal(x[t], y), steps, step)


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


if __name__ == "__main__":
    check()
