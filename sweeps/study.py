"""A sweep as one holds it in Python: its trials as a frame, its figures, its page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval.records.scored import Objective
from rl_eval.records.table import Row, Table, read_table
from rl_eval.settings import SettingsError

if TYPE_CHECKING:
    import polars

    from rl_eval.report.drawing import Drawing


@dataclasses.dataclass(frozen=True)
class Study:
    """A sweep on disk, finished or not. `path`: its directory; `records`: what is in it."""

    path: Path
    records: Table

    @property
    def table(self) -> polars.DataFrame:
        """A row per trial: id, environment, optimizer, values, counts of endings, the objective."""
        import polars

        keys = [axis.key for axis in self.records.axes]
        return polars.DataFrame(
            [
                {
                    "trial": row.id,
                    "env": row.env,
                    "optimizer": row.optimizer,
                    **{key: row.values.get(key) for key in keys},
                    "completed": row.count("completed"),
                    "diverged": row.count("diverged"),
                    "failed": row.count("failed"),
                    "objective": row.objective,
                    "objectives": [run.objective for run in row.seeds],
                }
                for row in self.records.rows
            ],
            infer_schema_length=None,
            strict=False,
        )

    def best(self, optimizer: str | None = None, env: str | None = None) -> Row:
        """The trial with the highest mean objective of those none of whose seeds diverged.

        Chosen and scored on the same seeds, it looks better than it is.

        Raises:
            SettingsError: no such environment or optimizer, or no trial has a score.
        """
        name, place = self._optimizer(optimizer), self._env(env)
        best = best_of(self.records.groups[place, name])
        if best is None:
            raise SettingsError(f"no trial of {name} in {place} has a score")
        return best

    def parallel_coordinates(self, optimizer: str | None = None, env: str | None = None) -> Drawing:
        """Every trial as a line through its values to its return.

        Raises:
            SettingsError: no such environment or optimizer.
        """
        from rl_eval.report.drawing import Drawing
        from rl_eval.report.figures import styled
        from rl_eval.report.sweep import parcoords, parcoords_figure

        wanted = (self._optimizer(optimizer),) if optimizer else self.records.optimizers
        rows = tuple(row for row in self.records.rows if row.optimizer in wanted)
        plot = parcoords.build(dataclasses.replace(self.records, rows=rows), self._env(env))
        with styled():
            return Drawing(parcoords_figure.draw(plot, wanted))

    def report(self, page: str | Path | None = None) -> Path:
        """Write the whole page and return its path. Default: in the study's own directory."""
        from rl_eval.report.sweep.page import render, write_page

        if page is None:
            return render(self.records, self.path / "report")[0]
        return write_page(self.records, Path(page))

    def __repr__(self) -> str:
        rows = self.records.rows
        ended = sum(run.status in ("completed", "diverged") for row in rows for run in row.seeds)
        runs = sum(len(row.seeds) for row in rows)
        names = ", ".join(self.records.optimizers)
        return f"Study({names}, {len(rows)} trials, {ended} of {runs} runs, {str(self.path)!r})"

    def _optimizer(self, name: str | None) -> str:
        return _one(name, self.records.optimizers, "optimizer")

    def _env(self, name: str | None) -> str:
        return _one(name, self.records.envs, "environment")


def load_study(path: str | Path, objective: Objective = "final") -> Study:
    """The sweep in a directory.

    Raises:
        RecordError: none is there, or its records cannot be read.
    """
    return Study(Path(path), read_table(Path(path), objective))


def best_of(rows: Sequence[Row]) -> Row | None:
    """The row with the highest objective among those without a diverged seed."""
    scored = [(r.objective, r.id, r) for r in rows if r.objective is not None]
    sound = [one for one in scored if not one[2].count("diverged")]
    return max(sound, key=lambda one: one[:2])[2] if sound else None


def _one(name: Any, known: tuple[str, ...], what: str) -> str:
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        given = f"{what} {name}: " if name else f"name the {what}: "
        raise SettingsError(f"{given}there are {', '.join(known)}")
    return str(name)
