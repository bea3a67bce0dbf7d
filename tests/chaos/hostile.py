"""Damaged and hostile files, drawn by hypothesis and given to everything that reads files."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from optimizers.metatrain import checkpoint as meta_checkpoint
from optimizers.weights import WeightsError, load
from rl_eval import reading
from rl_eval.errors import ExplainedError
from rl_eval.gate import baseline
from rl_eval.records.lock import holder
from rl_eval.records.table import read_table
from rl_eval.run.trained import load_trained
from rl_eval.settings import SettingsError, read_file
from tests.chaos.kills import Tally, _finish, _start
from tests.chaos.subjects import CARTPOLE

SECONDS = 30  # that a file may take
BYTES = 1 << 30  # beyond what the process has already
REFUSALS = (ExplainedError, SettingsError, WeightsError, meta_checkpoint.CheckpointError)
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}, *a{i}, *a{i}]\n" for i in range(40)
)
NASTY = [
    b"",
    bytes(4096),
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"schema": 1, "schema": 1}',
    b'{"schema": ' + b"9" * 5000 + b"}",
    b'{"schema": 1e999, "config": {}, "provenance": {}}',
    b'{"iteration": "x", "env_steps": {}}\n',
    b"\xff\xfe\x00\x01",
    b"\xef\xbb\xbf{}",
    b"%s\r\n" % (b"{}" * 3),
    BOMB.encode(),
    b"a: &a [*a]\n",
    b"!!python/object/apply:os.abort []\n",
    b"\x80\x04\x95\x00",
    b"PK\x03\x04" + bytes(60),
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    b"<!doctype html><html></html>",
]


def attack(work: Path, seconds: float, number: int) -> Tally:
    """Damage one file after another until the time is over."""
    whole = work / "whole"
    made = _make(work, whole)
    tally, deadline = Tally(), time.monotonic() + seconds
    round_ = 0
    while time.monotonic() < deadline:
        _round(made, work / "damaged", tally, number + round_)
        round_ += 1
    return tally


def _make(work: Path, whole: Path) -> dict[str, Callable[[Path], object]]:
    """Files to damage, by their path below `whole`, and what reads each."""
    whole.mkdir()
    steps = ["--total-timesteps", "1280", "--eval-every", "640", "--eval-episodes", "2"]
    run = whole / "run"
    code, said = _finish(
        _start(["train", *CARTPOLE, *steps, "--no-cost", "--out", str(run)], run)[0]
    )
    if code:
        raise SystemExit(f"the run whose files are to be damaged fails: {said}")
    (run / "lock.json").write_text('{"pid": 1, "host": "elsewhere", "token": "a", "started": 1}')
    (whole / "config.yaml").write_text("env: {id: CartPole-v1}\nhparams: {gamma: 0.9}\n")
    (whole / "config.toml").write_text('env = {id = "CartPole-v1"}\n')
    shipped = Path(__file__).parents[2]
    shutil.copy(next((shipped / "baselines").glob("*.json")), whole / "baseline.json")
    weights = shipped / "optimizers" / "weights"
    shutil.copy(weights / "celo2.msgpack", whole / "theta.msgpack")
    meta_checkpoint.save(
        whole / "checkpoint.npz", {"x": __import__("numpy").zeros(9)}, {"seconds": 1}
    )

    def record(path: Path) -> None:
        reading.read_run(path.parent)
        reading.metrics_frame(path.parent)
        reading.eval_frame(path.parent)

    def resumable(path: Path) -> None:
        load_trained(next(p for p in path.parents if p.name == "run"))

    readers: dict[str, Callable[[Path], object]] = {
        "run/config.json": record,
        "run/status.json": record,
        "run/metrics.jsonl": record,
        "run/eval.jsonl": record,
        "run/lock.json": lambda path: holder(path.parent),
        "config.yaml": read_file,
        "config.toml": read_file,
        "baseline.json": baseline.load,
        "theta.msgpack": lambda path: load(str(path), "celo2"),
        "checkpoint.npz": meta_checkpoint.read,
    }
    newest = sorted((run / "checkpoints").iterdir())[-1]
    for file in newest.rglob("*"):
        if file.is_file():
            readers[str(file.relative_to(whole))] = resumable
    sweep = whole / "sweep" / "sweep.json"
    sweep.parent.mkdir()
    sweep.write_text('{"schema": 1}')
    readers["sweep/sweep.json"] = lambda path: read_table(path.parent)
    return readers


def _round(
    readers: dict[str, Callable[[Path], object]],
    damaged: Path,
    tally: Tally,
    number: int,
) -> None:
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(damaged.with_name("whole"), damaged)

    @seed(number)
    @settings(max_examples=50, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(st.data())
    def one(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(readers)))
        file = damaged / name
        old = file.read_bytes()
        tally.tried += 1
        with _replaced(file, _damage(data, old)):
            problem = _read(readers[name], file)
        if problem:
            tally.lost.append(f"{name}: {problem}")

    one()


def _damage(data: st.DataObject, old: bytes) -> bytes | str:
    """New content, or the name of something that is no file."""
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "nasty", "zeros", "odd"]))
    at = data.draw(st.integers(0, max(0, len(old) - 1)))
    if how == "odd":
        return data.draw(st.sampled_from(["fifo", "/dev/zero", "folder", "dangling", "sparse"]))
    if how == "nasty":
        return data.draw(st.sampled_from(NASTY))
    if how == "cut":
        return old[:at]
    if how == "zeros":
        length = data.draw(st.integers(1, 512))
        return old[:at] + bytes(length) + old[at + length :]
    junk = data.draw(st.binary(min_size=1, max_size=16))
    return old[:at] + junk + old[at + (len(junk) if how == "flip" else 0) :]


@contextlib.contextmanager
def _replaced(file: Path, by: bytes | str) -> Iterator[None]:
    aside = file.with_name(f"{file.name}.aside")
    file.rename(aside)
    try:
        if isinstance(by, bytes):
            file.write_bytes(by)
        elif by == "fifo":
            os.mkfifo(file)
        elif by == "folder":
            file.mkdir()
        elif by == "sparse":
            with file.open("wb") as opened:
                opened.truncate(1 << 40)
        else:
            file.symlink_to("/dev/zero" if by == "/dev/zero" else file.with_name("nowhere"))
        yield
    finally:
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)
        aside.rename(file)


class _TooLongError(BaseException):
    """A reader that does not come to an end."""


def _read(reader: Callable[[Path], object], file: Path) -> str | None:
    """What is wrong with how a file was read or refused; None if nothing."""

    def over(number: int, frame: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, over)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, limits[1]))
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            reader(file)
    except REFUSALS as error:
        return f"an error of several lines: {error!r}" if "\n" in str(error) else None
    except _TooLongError:
        return f"it took more than {SECONDS} seconds"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)
    return None
