"""SIGKILL at random moments."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from tests.chaos.subjects import SUBJECTS, can_resume, equal

MARK = "RL_EVAL_CHAOS"  # in the environment of all that one command starts
AGAIN = 0.3  # that what goes on is killed too
PATIENCE_S = 900.0
MAX_KILLS = 3


@dataclasses.dataclass
class Tally:
    """How often it was tried, and what was lost, in words."""

    tried: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)


def attack(
    names: list[str], work: Path, deadline: float, chance: random.Random, keep: Path | None
) -> dict[str, Tally]:
    """Kill commands one after another until the time is over."""
    tallies = {name: Tally() for name in names}
    wanted: dict[str, tuple[float, Any]] = {}
    number = 0
    while names and (time.monotonic() < deadline or number < 1):
        name = names[number % len(names)]
        number += 1
        out = work / f"{name}-{number}" / "run"
        if name not in wanted:
            wanted[name] = _undisturbed(name, work / f"{name}-whole" / "run")
        out.parent.mkdir()
        seconds, whole = wanted[name]
        killed, problem = _one(name, out, seconds, whole, chance)
        tallies[name].tried += killed
        print(f"{name}: killed {killed} times, {problem or 'survived'}", flush=True)
        if problem:
            tallies[name].lost.append(problem)
            if keep is not None:
                shutil.copytree(out.parent, keep / out.parent.name, dirs_exist_ok=True)
        shutil.rmtree(out.parent, ignore_errors=True)
    return tallies


def _undisturbed(name: str, out: Path) -> tuple[float, Any]:
    """How long a command takes, and what comes out."""
    out.parent.mkdir()
    begun = time.monotonic()
    code, said = _finish(_start(SUBJECTS[name].begin(out), out)[0])
    if code:
        raise SystemExit(f"{name} fails without being disturbed: {said}")
    return time.monotonic() - begun, SUBJECTS[name].outcome(out)


def _one(
    name: str, out: Path, seconds: float, whole: Any, chance: random.Random
) -> tuple[int, str | None]:
    """How often a command was killed until it ended, and what was lost if anything was."""
    killed, subject = 0, SUBJECTS[name]
    while True:
        args = subject.resume(out) if can_resume(name, out) else subject.begin(out)
        process, mark = _start(args, out)
        if killed < MAX_KILLS and (not killed or chance.random() < AGAIN):
            try:
                process.wait(chance.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                _kill(process, mark, chance)
                killed += 1
                continue
        code, said = _finish(process)
        break
    if code:
        return killed, f"after {killed} kills: exit code {code}: {said}"
    try:
        same = equal(subject.outcome(out), whole)
    except (OSError, ValueError, KeyError) as error:
        return killed, f"after {killed} kills: no outcome: {error}"
    return killed, None if same else f"after {killed} kills: it ended differently"


def _start(args: list[str], out: Path) -> tuple[subprocess.Popen[bytes], str]:
    mark = uuid.uuid4().hex
    with (out.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rl_eval.cli.main", *args],
            stdout=log,
            stderr=log,
            env={**os.environ, MARK: mark, "JAX_COMPILATION_CACHE_DIR": str(_cache(out))},
            start_new_session=True,
        )
    process.log = out.parent / "log"  # type: ignore[attr-defined]
    return process, mark


def _cache(out: Path) -> Path:
    """Of compiled programs, for all commands of one attack."""
    return out.parents[1] / "compiled"


def _finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit code and the last lines."""
    try:
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    said = process.log.read_text(errors="replace")  # type: ignore[attr-defined]
    return code, " / ".join(said.strip().splitlines()[-3:])


def _kill(process: subprocess.Popen[bytes], mark: str, chance: random.Random) -> None:
    """The command alone, with one of its workers, or with all: what is left ends by itself."""
    others = [pid for pid in _marked(mark) if pid != process.pid]
    also = chance.choice([[], chance.sample(others, min(1, len(others))), others])
    for pid in [process.pid, *also]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _marked(mark: str) -> list[int]:
    """Processes that a command started, by what is in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
