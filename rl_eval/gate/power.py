"""How many seeds a gate needs, simulated from the recorded spread of a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.stats import chi2

from rl_eval.gate.decision import INCONCLUSIVE, PASS, REGRESSION, Plan, bounds, combine, judge
from rl_eval.stats.axes import named

CAPS = (3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96)
SHARES = (1 / 3, 2 / 3, 1.0)  # of the cap, at which the gate looks
SPREAD_CONFIDENCE = 0.8


class Power(NamedTuple):
    """What a gate with this cap on the seeds would do, as shares of the gates simulated.

    passes: an unchanged candidate passes.
    catches: a loss of twice the margin on every env is called a regression.
    catches_one: so is that loss on the env with the widest spread alone.
    mean_seeds: seeds per env that an unchanged candidate takes until it is decided.
    hidden: share of runs that may fail and still, one time in twenty, leave no trace in the seeds.
    """

    seeds: int
    passes: float
    catches: float
    catches_one: float
    mean_seeds: float
    hidden: float


def plan_for(cap: int, margin: float, alpha: float = 0.05) -> Plan:
    """The gate's plan for a cap on the seeds per env: looks at a third, two thirds, all."""
    looks = sorted({max(3, round(share * cap)) for share in SHARES})
    return Plan(tuple(looks), margin, alpha)


def run_gates(
    candidate: Float[np.ndarray, "gate run env"],
    baseline: Float[np.ndarray, "gate run env"],
    plan: Plan,
) -> tuple[Shaped[np.ndarray, " gate"], Int[np.ndarray, " gate"]]:
    """Verdict of each gate and the seeds per env it took; no run diverges."""
    verdicts = np.full(len(baseline), INCONCLUSIVE)
    seeds = np.full(len(baseline), plan.looks[-1])
    for look in plan.looks:
        going = np.flatnonzero(verdicts == INCONCLUSIVE)
        if not going.size:
            break
        found = bounds(candidate[going, :look], baseline[going, :look], plan)
        never = np.zeros(found.lower.shape, dtype=bool)
        verdicts[going] = combine(judge(found.lower, found.upper, never, plan.margin))
        seeds[going] = look
    return verdicts, seeds


def power(
    recorded: Float[np.ndarray, "seed env"],
    plan: Plan,
    rng: np.random.Generator,
    gates: int = 1000,
) -> Power:
    """Power of one plan, by simulated gates.

    Candidate and baseline draw their runs independently from the baseline's deviations from its
    mean, as if a seed in common made nothing alike. Few recorded seeds may by chance lie close
    together: deviations are widened to the upper 80 % confidence limit of their spread (after
    Browne, Statistics in Medicine 1995).

    Args:
        recorded: normalised scores of the baseline.

    Raises:
        ValueError: fewer than two recorded seeds.
    """
    deviations = _widened(named(recorded, "seed env", "recorded"))
    cap, num_envs = plan.looks[-1], deviations.shape[1]
    widest = np.arange(num_envs) == deviations.std(axis=0).argmax()

    def simulate(loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        picks = rng.integers(len(deviations), size=(2, gates, cap, num_envs))
        candidate, baseline = deviations[picks, np.arange(num_envs)]
        return run_gates(candidate - loss, baseline, plan)

    unchanged, seeds = simulate(np.zeros(num_envs))
    everywhere, _ = simulate(np.full(num_envs, 2 * plan.margin))
    one, _ = simulate(2 * plan.margin * widest)
    return Power(
        cap,
        float((unchanged == PASS).mean()),
        float((everywhere == REGRESSION).mean()),
        float((one == REGRESSION).mean()),
        float(seeds.mean()),
        float(1 - 0.05 ** (1 / cap)),
    )


def power_table(
    recorded: Float[np.ndarray, "seed env"],
    margin: float,
    rng: np.random.Generator,
    alpha: float = 0.05,
    goal: float = 0.8,
    caps: Iterable[int] = CAPS,
    gates: int = 1000,
) -> list[Power]:
    """Power at rising caps on the seeds, up to the first that reaches the goal (`enough`)."""
    table = []
    for cap in caps:
        table.append(power(recorded, plan_for(cap, margin, alpha), rng, gates))
        if enough(table[-1], goal):
            break
    return table


def enough(row: Power, goal: float = 0.8) -> bool:
    """Whether unchanged releases pass, and losses on one env or on all are caught, often enough."""
    return min(row.passes, row.catches, row.catches_one) >= goal


def render(table: Sequence[Power], margin: float, goal: float = 0.8) -> str:
    """The table to print, and the seeds that it recommends."""
    head = (
        "              | unchanged | loss of 2 margins caught on: |   seeds used | failures",
        "seeds per env |    passes |  all envs | the noisiest one | if unchanged | may hide",
    )
    rows = [
        f"{r.seeds:13d} | {r.passes:9.0%} | {r.catches:9.0%} | {r.catches_one:16.0%} "
        f"| {r.mean_seeds:12.1f} | {r.hidden:8.0%}"
        for r in table
    ]
    last = table[-1]
    if enough(last, goal):
        advice = f"{last.seeds} seeds per env reach {goal:.0%} at a margin of {margin:g}"
    else:
        advice = (
            f"{last.seeds} seeds per env are not enough for {goal:.0%} at a margin of {margin:g}; "
            "take a wider margin, a longer evaluation or more seeds"
        )
    return "\n".join([*head, *rows, advice])


def _widened(recorded: np.ndarray) -> np.ndarray:
    """Deviations from each env's mean, of the spread's upper confidence limit."""
    count = len(recorded)
    if count < 2:
        raise ValueError("power needs a baseline of two recorded seeds at least: one has no spread")
    limit = chi2.ppf(1 - SPREAD_CONFIDENCE, count - 1)
    # Drawn with replacement, deviations scatter by their population variance: count, not count - 1.
    return (recorded - recorded.mean(axis=0)) * np.sqrt(count / limit)
