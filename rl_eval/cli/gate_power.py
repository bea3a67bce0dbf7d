"""`rl-eval gate power`: the seeds that a check needs, from a recorded spread."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from rl_eval.gate import baseline
from rl_eval.gate.baseline import BaselineError, Scores, arrays
from rl_eval.gate.margins import FLOOR, MARGIN
from rl_eval.gate.plan import plan_for
from rl_eval.gate.power import CAPS, power_table, render
from rl_eval.settings import SettingsError

SHIPPED = Path("baselines")


@dataclasses.dataclass(frozen=True)
class Power:
    """How many seeds a check needs, simulated from the spread of a recorded baseline."""

    suite: str
    """The suite that was recorded."""
    margin: float = MARGIN
    """Loss that is still accepted: a share of the baseline's own score."""
    margin_floor: float = FLOOR
    """Least margin, as a normalised score."""
    alpha: float = 0.05
    """Chance of a false alarm, and of a false pass."""
    baseline: Path | None = None
    """Default: every baseline in baselines/ that has the suite."""


def show(args: Power) -> int:
    """Print a table for each baseline that has the suite.

    Raises:
        SettingsError: none has it.
        BaselineError: the file that was named cannot be used.
    """
    files = [args.baseline] if args.baseline else sorted(SHIPPED.glob("*.json"))
    found = []
    for file in files:
        try:
            known = baseline.load(file).benchmark
        except BaselineError:
            if args.baseline:
                raise
            continue
        if known is not None and known.suite == args.suite:
            found.append((file, known))
    if not found:
        raise SettingsError(
            f"no baseline with the suite {args.suite} in {', '.join(map(str, files)) or SHIPPED}; "
            "give --baseline FILE, as recorded by `rl-eval gate record`"
        )
    print("\n\n".join(_table(file, scores, args) for file, scores in found))
    return 0


def _table(file: Path, scores: Scores, args: Power) -> str:
    recorded, _ = arrays([unit.runs for unit in scores.units])
    spreads = zip(scores.units, recorded.mean(axis=0), recorded.std(axis=0, ddof=1), strict=True)
    lines = [f"{unit.name}: {mean:.3f} +- {deviation:.3f}" for unit, mean, deviation in spreads]
    try:
        plans = [plan_for(cap, args.margin, args.alpha, args.margin_floor) for cap in CAPS]
        table = power_table(recorded, np.random.default_rng(0), plans)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    head = f"{file}: {scores.suite}, {len(scores.seeds)} seeds, mean and standard deviation"
    return "\n".join([head, *(f"  {line}" for line in lines), render(table, _margin(args))])


def _margin(args: Power) -> str:
    if args.margin == 0:
        return f"a margin of {args.margin_floor:g}"
    return f"a margin of {args.margin:.0%} of the baseline's score, at least {args.margin_floor:g}"
