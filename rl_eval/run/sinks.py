"""Where records go besides the run directory: TensorBoard, Weights & Biases."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rl_eval.records.run import EvalRow, MetricsRow
from rl_eval.settings import SettingsError


class Sink(Protocol):
    """Takes the lines of one run as they are written."""

    def write(self, row: MetricsRow | EvalRow) -> None:
        """Take one line."""

    def close(self) -> None:
        """No more lines will come."""


def numbers(row: MetricsRow | EvalRow) -> dict[str, float]:
    """The scalars of a line, named as charts should be: `train/...`, `eval/...`."""
    prefix = "train" if isinstance(row, MetricsRow) else "eval"
    fields = dataclasses.asdict(row)
    return {
        f"{prefix}/{name}": float(value)
        for name, value in fields.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


class TensorBoard:
    """Event files in RUN/tensorboard, against env steps; through tensorboardX."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"))
        self._writer.add_text("config", str(config))

    def write(self, row: MetricsRow | EvalRow) -> None:
        for name, value in numbers(row).items():
            self._writer.add_scalar(name, value, row.env_steps)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A wandb run per seed, in RUN/wandb; wandb's own variables (WANDB_MODE ...) are obeyed."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            dir=str(run), name=run.name, config=dict(config), reinit="create_new"
        )

    def write(self, row: MetricsRow | EvalRow) -> None:
        self._run.log({"env_steps": row.env_steps, **numbers(row)})

    def close(self) -> None:
        self._run.finish()


_KINDS: dict[str, tuple[str, Callable[[Path, Mapping[str, Any]], Sink]]] = {
    "tensorboard": ("tensorboardX", TensorBoard),
    "wandb": ("wandb", WeightsAndBiases),
}


def check(names: Sequence[str]) -> None:
    """Refuse what could not be opened, before anything is written.

    Raises:
        SettingsError: an unknown name, or its package is not installed.
    """
    for name in names:
        if name not in _KINDS:
            raise SettingsError(f"--log {name}: unknown; known: {', '.join(_KINDS)}")
        if importlib.util.find_spec(_KINDS[name][0]) is None:
            raise SettingsError(f"--log {name}: not installed; pip install 'rl-eval[{name}]'")


class Sinks:
    """Several sinks as one, of which none can end a run: a failing one is dropped and said."""

    def __init__(
        self,
        names: Sequence[str],
        run: Path,
        config: Mapping[str, Any],
        notify: Callable[[str], None],
    ) -> None:
        self._notify = notify
        self._open: dict[str, Sink] = {}
        for name in names:
            with self._survived(name):
                self._open[name] = _KINDS[name][1](run, config)

    def write(self, row: MetricsRow | EvalRow) -> None:
        for name, sink in list(self._open.items()):
            with self._survived(name):
                sink.write(row)

    def close(self) -> None:
        for name, sink in list(self._open.items()):
            with self._survived(name):
                sink.close()

    @contextmanager
    def _survived(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._open.pop(name, None)
            self._notify(f"--log {name} failed and is left out from now on: {error}")
