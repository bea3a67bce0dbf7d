"""The host loop of meta-training: chunks, records, checkpoints, the metric, interruption."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from optimizers import weights
from optimizers.metatrain import checkpoint, rules
from optimizers.metatrain import config as configs
from optimizers.metatrain.config import MetaTrainConfig
from optimizers.metatrain.judging import metric
from optimizers.metatrain.outer import (
    MetaState,
    MetaTrainer,
    Progress,
    Stream,
    make_trainer,
    stream,
)
from optimizers.metatrain.run_files import append_row, forget_after, write_json
from optimizers.metatrain.tasks import data, tasks
from optimizers.weights.files import read_bytes

Report = Callable[[dict[str, Any]], None]  # gets each row of curve.jsonl and metric.jsonl


@dataclasses.dataclass(frozen=True)
class Cadence:
    """How often the run looks up from its work; does not change theta.

    Attributes:
        record: iterations per row of the curve.
        checkpoint: seconds between checkpoints.
        metric: iterations between metrics (rounded up to whole rows); 0 for never.
    """

    record: int = 10
    checkpoint: float = 120.0
    metric: int = 1000


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call ended. `finished` is False after an interruption: the run can be resumed."""

    theta: rules.Theta
    iteration: int
    finished: bool


def train(
    config: MetaTrainConfig,
    out: Path,
    progress: Report | None = None,
    *,
    cadence: Cadence = Cadence(),
    rule: rules.MetaRule | None = None,
    inner: Sequence[tasks.MetaTask] | None = None,
) -> Outcome:
    """Meta-train from the start, writing into the new folder `out` (see `run_files`).

    Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 end the run after a checkpoint; a kill loses what came
    after the last one.
    `rule` and `inner` replace what the configuration names, for rules and tasks of one's own.

    Raises:
        FileExistsError: `out` already holds a run.
        ValueError: an unknown rule or task, or weights in `config.init` that do not fit.
    """
    if _holds_run(out):
        raise FileExistsError(f"{out} already holds a run; resume it or choose another folder")
    run = _prepare(config, out, cadence, rule, inner)
    state = _first(run)
    (out / "thetas").mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", {"config": config.to_dict(), **_circumstances(run)})
    return _go(run, state, 0.0, progress)


def resume(
    out: Path,
    progress: Report | None = None,
    *,
    cadence: Cadence = Cadence(),
    rule: rules.MetaRule | None = None,
    inner: Sequence[tasks.MetaTask] | None = None,
) -> Outcome:
    """Go on from the last checkpoint; theta ends bitwise as if the run had never stopped.

    A run that was killed before its first checkpoint begins again.

    Raises:
        CheckpointError: no run in `out`, a damaged checkpoint, or other data than it began with.
    """
    config, began_with = _read_config(out)
    file = out / "checkpoint.npz"
    stored = checkpoint.read(file) if file.exists() else None
    run = _prepare(config, out, cadence, rule, inner)
    if _circumstances(run)["data"] != began_with:
        raise checkpoint.CheckpointError(
            f"{out} began with other data than this installation makes (other versions of "
            "scikit-learn, scikit-image or matplotlib?); start a new run with --init"
        )
    state, seconds = _first(run), 0.0
    if stored is not None:
        state = checkpoint.restore(stored, like=state)
        seconds = checkpoint.number(stored, "seconds")
    for name in ("curve.jsonl", "metric.jsonl"):
        forget_after(out / name, int(state.iteration))
    (out / "thetas").mkdir(exist_ok=True)
    return _go(run, state, seconds, progress)


def _first(run: _Run) -> MetaState:
    """Where a run begins.

    Raises:
        WeightsError: those in `config.init` do not fit.
    """
    if run.config.init:
        theta = weights.load(run.config.init, run.config.optimizer)
    else:
        theta = run.rule.init_theta(stream(run.config.seed, Stream.THETA))
    return jax.jit(run.trainer.init)(theta)


def _holds_run(out: Path) -> bool:
    """Whether there is something to go on with; a power cut may have emptied config.json."""
    if (out / "checkpoint.npz").exists():
        return True
    try:
        _read_config(out)
    except checkpoint.CheckpointError:
        return False
    return True


class _Run(NamedTuple):
    """What a run needs besides its state."""

    config: MetaTrainConfig
    out: Path
    cadence: Cadence
    rule: rules.MetaRule
    groups: tuple[tasks.TaskGroup, ...]
    trainer: MetaTrainer


def _prepare(
    config: MetaTrainConfig,
    out: Path,
    cadence: Cadence,
    rule: rules.MetaRule | None,
    inner: Sequence[tasks.MetaTask] | None,
) -> _Run:
    rule = rule or rules.get(config.optimizer)
    if inner is None:
        inner = [tasks.resolve(n, config.hidden, config.batch_size) for n in config.tasks]
    groups = tasks.group_tasks(inner)
    return _Run(config, out, cadence, rule, groups, make_trainer(config, rule, groups))


def _go(run: _Run, state: MetaState, seconds: float, progress: Report | None) -> Outcome:
    """Iterate to the end or to an interruption. `seconds` is what earlier calls spent."""
    step, last = jax.jit(run.trainer.step), run.config.iterations
    score = metric.scorer(run.rule, run.groups)
    report = progress or (lambda row: None)
    clock = saved = time.monotonic()
    began, iteration = clock - seconds, int(state.iteration)
    with _interruption() as interrupted:
        while iteration < last and not interrupted():
            count = min(run.cadence.record, last - iteration)
            told = []
            for _ in range(count):
                state, progressed = step(state)
                told.append(progressed)
            row = _summary(told)
            iteration = int(state.iteration)
            now = time.monotonic()
            row = {"iteration": iteration, "seconds": round(now - began, 3), **row}
            append_row(run.out / "curve.jsonl", row)
            report(row | {"iterations": last, "iterations_per_hour": count / (now - clock) * 3600})
            due = iteration == last or _crossed(iteration, count, run.cadence.metric)
            if run.cadence.metric and due:
                report(_take_metric(run, state, score))
            if due or now - saved >= run.cadence.checkpoint:
                _save(run, state, time.monotonic() - began)
                saved = time.monotonic()
            clock = time.monotonic()
        _save(run, state, time.monotonic() - began)
    return Outcome(run.trainer.unravel(state.theta), iteration, iteration == last)


def _save(run: _Run, state: MetaState, seconds: float) -> None:
    checkpoint.save(run.out / "checkpoint.npz", state, {"seconds": seconds})
    weights.save(run.out / "theta.msgpack", run.trainer.unravel(state.theta))


def _take_metric(run: _Run, state: MetaState, score: metric.Scorer) -> dict[str, Any]:
    """Score theta, keep a copy of it, and the row that says so."""
    iteration, theta = int(state.iteration), run.trainer.unravel(state.theta)
    weights.save(run.out / "thetas" / f"{iteration:06d}.msgpack", theta)
    row = {"iteration": iteration, **dataclasses.asdict(score(theta))}
    append_row(run.out / "metric.jsonl", row)
    return row


def _summary(told: Sequence[Progress]) -> dict[str, Any]:
    """One row of the curve: means over the iterations, counts over all tasks."""
    stacked = jax.tree.map(lambda *x: np.stack(x), *jax.device_get(told))
    return {
        "meta_loss": round(float(stacked.meta_loss.mean()), 5),
        "meta_losses": [round(float(x), 5) for x in stacked.meta_loss.mean(0)],
        "norms": [round(float(x), 5) for x in stacked.norm.mean(0)],
        "clipped": round(float(stacked.clipped.mean()), 4),
        "restarted": int(stacked.restarted.sum()),
        "blown": int(stacked.blown.sum()),
    }


def _crossed(iteration: int, count: int, every: int) -> bool:
    """Whether the last `count` iterations passed a multiple of `every`."""
    return every > 0 and iteration // every > (iteration - count) // every


@contextlib.contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or another signal to end came; a second one interrupts at once."""
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread may take signals
        return
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) means it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _circumstances(run: _Run) -> dict[str, Any]:
    """What a reader of the results needs beyond the configuration."""
    digests = {name: group.digest(i) for group in run.groups for i, name in enumerate(group.names)}
    return {
        "data": digests,
        "data_version": data.VERSION,
        "versions": {m: importlib.metadata.version(m) for m in ("jax", "jaxlib", "optax", "numpy")},
        "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _read_config(out: Path) -> tuple[MetaTrainConfig, dict[str, str]]:
    """The configuration of the run in `out` and the digests of its data."""
    path = out / "config.json"
    if not path.exists():
        raise checkpoint.CheckpointError(f"{out} holds no meta-training run")
    try:
        stored = json.loads(read_bytes(path))
        return configs.from_dict(stored["config"]), stored["data"]
    except (ValueError, KeyError, TypeError, RecursionError, weights.WeightsError) as error:
        raise checkpoint.CheckpointError(f"{path} cannot be read: {error}") from error
