"""Where the recorded vectors are, and how parallel test runs share the cores."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from cli.processes import Commands

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Two JAX processes that both spread over all cores slow each other down many times over.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# What a test compiled serves those after it, and the processes that they start. A directory for
# each parallel run: jax does not write its cache so that another process may read it meanwhile.
COMPILED = tempfile.mkdtemp(prefix="rl_eval-compiled-")
atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

# A shell has what it starts in the background ignore Ctrl-C, which the commands under test inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

GOLDEN = Path(os.environ.get("RL_EVAL_GOLDEN", Path(__file__).parent / "golden"))
RELEASED = Path(__file__).parents[2] / "shared" / "golden"  # weights that are not ours to ship


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of recorded vectors; RL_EVAL_GOLDEN points the tests at others."""
    return GOLDEN


@pytest.fixture(scope="session")
def released() -> Path:
    """Folder of the recordings that hold other projects' released weights."""
    if not RELEASED.is_dir():
        pytest.skip(f"{RELEASED} is missing: the released weights are not part of this project")
    return RELEASED


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Commands that the tests of one file start, with one folder for their logs and programs."""
    return Commands(tmp_path_factory.mktemp("commands"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
