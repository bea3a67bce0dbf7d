"""`rl-eval` commands in processes of their own, which find each other's compiled programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


class Command(subprocess.Popen):
    """A running command; `said` is all that it printed so far."""

    def __init__(self, args, log: Path, env) -> None:
        self.log = log
        with log.open("w") as file:
            command = [sys.executable, "-m", "rl_eval.cli.main", *args]
            super().__init__(command, stdout=file, stderr=subprocess.STDOUT, env=env)

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def alive(self) -> bool:
        return self.poll() is None


class Commands:
    """Starts commands whose logs and compiled programs lie in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.env = {**os.environ, **CACHE, "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")}

    def start(self, *args) -> Command:
        self.count += 1
        return Command(args, self.folder / f"{self.count}.log", self.env)

    def run(self, *args) -> tuple[int, str]:
        """Exit code and all that was printed."""
        command = self.start(*args)
        command.wait(timeout=300)
        return command.returncode, command.said
