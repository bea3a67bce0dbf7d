"""Options of recording a baseline and of checking a candidate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rl_eval.gate.margins import FLOOR, MARGIN


@dataclasses.dataclass(frozen=True)
class Record:
    """Record a release that is trusted: the baseline of later checks."""

    optimizer: str
    """Registered name or module:attribute."""
    out: Path
    """The baseline file."""
    set: tuple[str, ...] = ()
    """key=value: any hyperparameter of the optimizer, PPO or the network; repeatable."""
    tiers: str | None = None
    """numerics, probes, benchmark, separated by commas. Default the first two; --suite adds it."""
    suite: str | None = None
    """Of the benchmark: a suite (default minatar-4) or environments, separated by commas."""
    learning_rates: str | None = None
    """Of the benchmark, separated by commas; each is a unit of its own. Default: as set."""
    learning_rate_name: str | None = None
    """The hyperparameter that is the learning rate, if it is called neither learning_rate nor
    lr."""
    seeds: str = "12"
    """Of the benchmark: how many, or which. The most that a check can use."""
    work: Path | None = None
    """Where runs are kept, to go on after a kill. Default: beside --out."""
    workers: int | None = None
    """Worker processes. Default: one a core."""
    overwrite: bool = False
    """Replace the baseline file that is there."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Check a candidate. Exit code: 0 pass, 1 regression, 4 inconclusive, 2 wrong usage."""

    baseline: Path
    """What `rl-eval gate record` wrote."""
    candidate: str
    """Registered name or module:attribute."""
    set: tuple[str, ...] = ()
    """key=value over the candidate's own defaults and what the baseline was given; repeatable."""
    tiers: str | None = None
    """As of record."""
    suite: str | None = None
    """Adds the benchmark; must be the suite that was recorded."""
    seeds: int | None = None
    """Of the benchmark: the most per environment. Default: all that were recorded."""
    margin: float = MARGIN
    """Loss on the benchmark that is still accepted: a share of the baseline's own score."""
    margin_floor: float = FLOOR
    """Least margin, as a normalised score; with --margin 0 it is the margin everywhere."""
    alpha: float = 0.05
    """Chance of a false alarm in each tier that trains, and of a false pass."""
    accept_numerics: str | None = None
    """Why the numerics were meant to change: recorded, and the other tiers decide."""
    out: Path | None = None
    """Directory of the report. Default gate/<baseline>-<candidate>."""
    work: Path | None = None
    """Where runs are kept, to go on after a kill. Default OUT/work."""
    workers: int | None = None
    """Worker processes. Default: one a core."""

    @property
    def report_dir(self) -> Path:
        """Directory of the report."""
        return self.out or Path("gate") / f"{self.baseline.stem}-{self.candidate.replace(':', '-')}"
