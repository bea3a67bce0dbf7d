"""A run as one holds it in Python: its records as numbers and frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from rl_eval.config import RunConfig
from rl_eval.reading import Recorded, eval_frame, metrics_frame, read_population
from rl_eval.records.run import read_object

if TYPE_CHECKING:
    import polars


@dataclasses.dataclass(frozen=True)
class Run:
    """A run on disk, finished or not. `path`: its directory; `members`: its seeds, in order."""

    path: Path
    members: tuple[Recorded, ...]

    @property
    def config(self) -> RunConfig:
        """The configuration, with all seeds."""
        seeds = tuple(seed for one in self.members for seed in one.config.seeds)
        return dataclasses.replace(self.members[0].config, seeds=seeds)

    @property
    def statuses(self) -> list[str]:
        """How each seed stands: running, completed, diverged, pruned, interrupted or failed."""
        return [str((one.status or {}).get("status", "running")) for one in self.members]

    @property
    def final_returns(self) -> Float[np.ndarray, " seed"]:
        """Mean full-game return over the last tenth of training; nan where no game ended."""
        return self._numbers("final_return")

    @property
    def eval_returns(self) -> Float[np.ndarray, " seed"]:
        """Mean return of the last evaluation; nan without one."""
        return self._numbers("eval_return")

    @property
    def metrics(self) -> polars.DataFrame:
        """metrics.jsonl of every seed, with a column `seed`; see `records.run.MetricsRow`."""
        return self._frame(metrics_frame)

    @property
    def evaluations(self) -> polars.DataFrame:
        """eval.jsonl of every seed, with a column `seed`; see `records.run.EvalRow`."""
        return self._frame(eval_frame)

    @property
    def cost(self) -> polars.DataFrame:
        """Columns quantity and value, of `run.cost.Cost`; empty where it was not measured."""
        import polars

        file = self.members[0].path / "cost.json"
        values = read_object(file) if file.is_file() else {}
        plain = {k: v for k, v in values.items() if isinstance(v, int | float) or v is None}
        schema = {"quantity": polars.String, "value": polars.Float64}
        rows = {"quantity": list(plain), "value": list(plain.values())}
        return polars.DataFrame(rows, schema=schema, strict=False)

    def __repr__(self) -> str:
        config, returns = self.config, np.round(self.final_returns, 2).tolist()
        return (
            f"Run({config.env.id}, {config.optimizer.name}, seeds {list(config.seeds)}, "
            f"{'/'.join(sorted(set(self.statuses)))}, final returns {returns}, {str(self.path)!r})"
        )

    def _numbers(self, name: str) -> Float[np.ndarray, " seed"]:
        found = [(one.status or {}).get(name) for one in self.members]
        return np.array([np.nan if value is None else value for value in found], float)

    def _frame(self, read: Any) -> polars.DataFrame:
        import polars

        frames = [
            read(one.path).with_columns(polars.lit(one.config.seeds[0]).alias("seed"))
            for one in self.members
        ]
        return polars.concat(frames)


def load(path: str | Path) -> Run:
    """The run in a directory.

    Raises:
        RecordError: no run is there, or its records cannot be read.
    """
    return Run(Path(path), tuple(read_population(Path(path))))
