"""Records read back: untrusted files, checked, with errors that name the file."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval.config import RunConfig
from rl_eval.records.run import (
    EVALUATIONS,
    METRICS,
    EvalRow,
    MetricsRow,
    RecordError,
    RunDirectory,
    read_lines,
    read_object,
    read_record,
)
from rl_eval.settings import SettingsError, read

if TYPE_CHECKING:
    import polars


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A run as its directory tells it. `status` is None where it has none that can be read."""

    path: Path
    config: RunConfig
    provenance: Mapping[str, Any]
    status: Mapping[str, Any] | None


def read_run(path: Path) -> Recorded:
    """The configuration and status of one seed's directory.

    Raises:
        RecordError: missing, torn or foreign, or of a newer version.
    """
    document = read_record(path / "config.json")
    try:
        config = read(RunConfig, document["config"], str(path / "config.json"))
        provenance = dict(document["provenance"])
    except (SettingsError, KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, SettingsError) else f"has no usable {error}"
        raise RecordError(f"{path / 'config.json'}: {reason}") from None
    return Recorded(path, config, provenance, _status(path / "status.json"))


def read_population(out: Path) -> list[Recorded]:
    """The runs of all seeds that were trained together, in their order.

    Raises:
        RecordError: no run is there, or its parts do not belong together.
    """
    if (out / "config.json").exists():
        return [read_run(out)]
    runs = [read_run(file.parent) for file in sorted(out.glob("seed-*/config.json"))]
    if not runs:
        raise RecordError(f"{out}: not a run directory (it has no config.json)")
    seeds = runs[0].provenance.get("population")
    by_seed = {run.config.seeds[0]: run for run in runs}
    if isinstance(seeds, list) and all(type(seed) is int for seed in seeds):
        by_seed |= {s: _unbegun(out, s, runs[0]) for s in seeds if s not in by_seed}
    first = runs[0].config
    alike = all(dataclasses.replace(r.config, seeds=first.seeds) == first for r in by_seed.values())
    if not alike or not isinstance(seeds, list) or sorted(seeds) != sorted(by_seed):
        raise RecordError(f"{out}: its seed-* directories are not one run's")
    return [by_seed[seed] for seed in seeds]


def _unbegun(out: Path, seed: object, sibling: Recorded) -> Recorded:
    """A member that a kill came before; what the others say holds for it.

    Raises:
        RecordError: there was one, whose config.json is gone.
    """
    path = out / f"seed-{seed}"
    if type(seed) is not int or RunDirectory(path).taken():
        raise RecordError(f"{path}: not a run directory (it has no config.json)")
    config = dataclasses.replace(sibling.config, seeds=(seed,))
    return Recorded(path, config, sibling.provenance, None)


def metrics_frame(path: Path) -> polars.DataFrame:
    """metrics.jsonl of one seed, a typed column per field of `MetricsRow`.

    Raises:
        RecordError: a damaged line, or a column that is missing or of another type.
    """
    return _frame(path / METRICS, MetricsRow)


def eval_frame(path: Path) -> polars.DataFrame:
    """eval.jsonl of one seed, a typed column per field of `EvalRow`; empty without evaluations.

    Raises:
        RecordError: as `metrics_frame`.
    """
    return _frame(path / EVALUATIONS, EvalRow)


def _status(file: Path) -> dict[str, Any] | None:
    """None if it was never written, or a power cut left nothing in it: the run can go on.

    Raises:
        RecordError: it is of a newer version.
    """
    try:
        read_object(file)
    except RecordError:
        return None
    return read_record(file)


def _frame(file: Path, kind: type) -> polars.DataFrame:
    import polars

    schema = {name: _column(hint) for name, hint in typing.get_type_hints(kind).items()}
    try:
        rows = read_lines(file)[0] if file.is_file() else []
        for number, row in enumerate(rows, 1):
            if set(row) != set(schema):
                odd = sorted(set(row) ^ set(schema))[0]
                raise RecordError(f"{file}: line {number}: {odd} is missing or unknown")
        return polars.DataFrame(rows, schema=schema, strict=True)
    except (OSError, TypeError, OverflowError, polars.exceptions.PolarsError) as error:
        raise RecordError(f"{file}: {' '.join(str(error).split())[:200]}") from None


def _column(hint: Any) -> Any:
    import polars

    kinds = {int: polars.Int64, float: polars.Float64, str: polars.String, bool: polars.Boolean}
    if typing.get_origin(hint) is list:
        return polars.List(_column(typing.get_args(hint)[0]))
    return kinds[next(kind for kind in (hint, *typing.get_args(hint)) if kind in kinds)]
