"""What a sweep is made of, on disk beside sweep.json, so that it can be resumed and extended.

plan.json has the space as it was read and a full configuration for every environment and
optimizer. Planning again from them gives the same trials, and more where a design is drawn larger.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.config import RunConfig, to_dict
from rl_eval.records.run import SCHEMA, RecordError, read_record, write_json
from rl_eval.records.sweep import Pruning, read_sweep, write_sweep
from rl_eval.settings import SettingsError, read, read_file
from rl_eval.setup.modules import found_again
from rl_eval.setup.trust import Trust
from rl_eval.strict import STRICT
from sweeps import presets
from sweeps.space.designs import Design
from sweeps.space.domains import LATEST, Rules
from sweeps.space.space import Space, make_space
from sweeps.trials import Trial, plan, sweep_record

PLAN = "plan.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides the trials. `space`: plain values; `source`: the file they are from."""

    __pydantic_config__ = STRICT

    schema: int
    preset: str | None
    source: str
    space: dict[str, Any]
    optimizers: tuple[str, ...]
    bases: tuple[RunConfig, ...]
    design: Design | None
    design_seed: int
    trials: int | None
    seeds: tuple[int, ...]
    commands: tuple[str, ...]
    pruning: Pruning | None = None
    rules: Rules = LATEST
    """By which values are drawn and trials named; plans that do not tell have the first."""

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {self.schema}")
        if self.pruning is not None:
            self._check_pruning(self.pruning)

    def _check_pruning(self, pruning: Pruning) -> None:
        if len(self.seeds) > 1:
            raise SettingsError(
                "pruning ranks single runs: tune with one seed, then run the best with others"
            )
        for base in self.bases:
            every, first = base.evaluation.every, pruning.rungs[0] * base.total_timesteps
            if every is not None and every > first:
                raise SettingsError(
                    f"pruning needs an evaluation by {first:,.0f} env steps in {base.env.id}; "
                    f"the first is after {every:,}"
                )

    @property
    def read_space(self) -> Space:
        return make_space(self.space, self.optimizers, self.source)


def space_values(
    preset: str | None, space: str | Path | Mapping[str, Any] | None
) -> tuple[dict[str, Any], str]:
    """The plain values of a preset, a file or a mapping, and where they are from.

    Raises:
        SettingsError: neither or both, or nothing to be read there.
    """
    if preset is not None and space is None:
        return read_file(presets.path(preset)), f"preset {preset}"
    if space is None or preset is not None:
        names = ", ".join(presets.names())
        raise SettingsError(f"give one of --preset ({names}) and --space FILE.yaml")
    if isinstance(space, Mapping):
        return dict(space), "space"
    return read_file(Path(space)), str(space)


def trials_of(described: Plan) -> list[Trial]:
    """Every trial of a plan."""
    return plan(
        described.read_space,
        described.bases,
        seed=described.design_seed,
        design=described.design,
        trials=described.trials,
        rules=described.rules,
    )


def write(out: Path, described: Plan, trials: Sequence[Trial]) -> None:
    """plan.json, then sweep.json, which says that the sweep is there."""
    space = described.read_space
    record = sweep_record(
        space,
        trials,
        seeds=described.seeds,
        design=described.design or space.design,
        design_seed=described.design_seed,
        preset=described.preset,
        commands=described.commands,
        pruning=described.pruning,
        points=_points(described, space),
    )
    write_json(out / PLAN, document(described))
    write_sweep(out, record)


def document(described: Plan) -> dict[str, Any]:
    """A plan as plain values, as plan.json has it."""
    bases = [to_dict(base) for base in described.bases]
    return {**dataclasses.asdict(described), "bases": bases}


def planned_in(out: Path) -> Plan:
    """The plan of a sweep directory.

    Raises:
        RecordError: none is there, or it cannot be read.
    """
    file = out / PLAN
    try:
        return read(Plan, {"rules": 1, **read_record(file)}, str(file))
    except SettingsError as error:
        raise RecordError(str(error)) from None


def repeated(described: Plan, trials: Sequence[Trial]) -> str | None:
    """How many of a design's points are settings that it has already, if any are."""
    points = _points(described, described.read_space)
    count = (points or 0) * len(described.bases)
    if count <= len(trials):
        return None
    return (
        f"{count} points of the design are {len(trials)} different settings, which are run once "
        "each: the space has no more, or its choices repeat"
    )


def _points(described: Plan, space: Space) -> int | None:
    """Of each environment and optimizer; None for a grid, which repeats nothing."""
    if (described.design or space.design) == "grid":
        return None
    return described.trials or space.trials


def extended(
    out: Path,
    seeds: Sequence[int] | None,
    trials: int | None,
    command: str,
    trust: Trust,
) -> tuple[Plan, list[Trial]]:
    """The plan of a sweep directory with more seeds or trials, as asked for; written if changed.

    Raises:
        RecordError: no sweep is there.
        SettingsError: it names code that is not trusted, or trials that are there would not be
            among those of the larger design.
    """
    there = {trial.id for trial in read_sweep(out).planned}
    old = planned_in(out)
    for base in old.bases:
        trust.check(base, out / PLAN)
        found_again(base)
    more = tuple(dict.fromkeys((*old.seeds, *(seeds or ()))))
    new = dataclasses.replace(old, seeds=more, trials=old.trials if trials is None else trials)
    found = trials_of(new)
    lost = there - {trial.id for trial in found}
    if lost and trials is not None:
        raise SettingsError(
            f"--trials {trials}: {len(lost)} of the {len(there)} trials of {out} are not among "
            "them; trials can be added to sobol and random designs, and none taken away"
        )
    if lost:
        raise SettingsError(
            f"{out}: this version plans other trials than those that are there ({len(lost)} of "
            f"{len(there)}): a search domain or a default has changed; go on with the version "
            "that began the sweep"
        )
    if new != old or len(there) != len(found):
        new = dataclasses.replace(new, commands=(*old.commands, command))
        write(out, new, found)
    return new, found
