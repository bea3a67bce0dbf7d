"""How many seeds a gate needs, simulated from the recorded spread of a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.stats import chi2

from rl_eval.gate.decision import (
    INCONCLUSIVE,
    PASS,
    REGRESSION,
    bounds,
    combine,
    fails_more,
    judge,
)
from rl_eval.gate.plan import Plan, failed, kept, plan_for
from rl_eval.stats.axes import named
from rl_eval.stats.unseen import unseen_rate

CAPS = (3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96)
GATES = 10_000
SPREAD_CONFIDENCE = 0.8
RARE = 0.1


class Power(NamedTuple):
    """What a gate with this cap on the seeds would do, as shares of the gates simulated.

    passes: an unchanged candidate passes.
    catches: a loss of twice the margin on every env is called a regression.
    catches_one: so is that loss on the env with the widest spread alone.
    mean_seeds: seeds per env that an unchanged candidate takes until it is decided.
    misses: a loss of the margin on one env passes, the largest share of several ways to lose it.
    rare: one run in ten fails on one env, and the candidate passes.
    """

    seeds: int
    passes: float
    catches: float
    catches_one: float
    mean_seeds: float
    misses: float
    rare: float


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
        ours, theirs = candidate[going, :look], baseline[going, :look]
        rises = fails_more(failed(ours, theirs), failed(theirs, theirs), plan)
        verdicts[going] = combine(judge(bounds(ours, theirs, plan), rises))
        seeds[going] = look
    return verdicts, seeds


def power(
    recorded: Float[np.ndarray, "seed env"],
    plan: Plan,
    rng: np.random.Generator,
    gates: int = GATES,
) -> Power:
    """Power of one plan, by simulated gates.

    Candidate and baseline draw their runs independently from the baseline's, as if a seed in common
    made nothing alike; failures are added to the baseline's own runs too, where their absence shows
    least. Few recorded seeds may by chance lie close together: deviations from the mean are widened
    to the upper 80 % confidence limit of their spread (after Browne, Statistics in Medicine 1995),
    down to the floor.

    Args:
        recorded: normalised scores of the baseline.

    Raises:
        ValueError: fewer than two recorded seeds.
    """
    runs = _widened(named(recorded, "seed env", "recorded"))
    level, cap, num_envs = runs.mean(axis=0), plan.looks[-1], runs.shape[1]
    margin = kept(runs, runs, plan).margin[:-1]
    relative_spread = runs.std(axis=0) / margin
    widest = np.arange(num_envs) == relative_spread.argmax()
    picks = rng.integers(len(runs), size=(2, gates, cap, num_envs))
    candidate, baseline = runs[picks, np.arange(num_envs)]

    def share(verdict: str, candidate: np.ndarray) -> float:
        return float((run_gates(candidate, baseline, plan)[0] == verdict).mean())

    def failing(of: np.ndarray, env: int, rate: float) -> np.ndarray:
        hit = (rng.random((gates, cap, num_envs)) < rate) & (np.arange(num_envs) == env)
        return np.where(hit, np.minimum(of, 0.0), of)

    unchanged, seeds = run_gates(candidate, baseline, plan)
    misses = [share(PASS, candidate - margin * widest)]
    for env in np.flatnonzero(level > margin).tolist():
        for of in (candidate, baseline):
            misses.append(share(PASS, failing(of, env, margin[env] / level[env])))
    steadiest = int(relative_spread.argmin())
    return Power(
        cap,
        float((unchanged == PASS).mean()),
        share(REGRESSION, candidate - 2 * margin),
        share(REGRESSION, candidate - 2 * margin * widest),
        float(seeds.mean()),
        max(misses),
        share(PASS, failing(baseline, steadiest, RARE)),
    )


def can_pass(recorded: Float[np.ndarray, "seed env"], plan: Plan) -> bool:
    """Whether a candidate that never failed can pass: losses might have stayed unseen."""
    level, margin = recorded.mean(axis=0), kept(recorded, recorded, plan).margin[:-1]
    unseen = unseen_rate(plan.looks[-1], plan.level(plan.looks[-1], plan.alpha))
    return bool((unseen * level < margin).all())


def power_table(
    recorded: Float[np.ndarray, "seed env"],
    rng: np.random.Generator,
    plans: Iterable[Plan] = (),
    goal: float = 0.8,
    gates: int = GATES,
) -> list[Power]:
    """Power at rising caps on the seeds: from where one can pass to where it is `enough`.

    Args:
        plans: by default, those of `CAPS`.
    """
    table = []
    for plan in plans or map(plan_for, CAPS):
        if not can_pass(recorded, plan):
            continue
        table.append(power(recorded, plan, rng, gates))
        if enough(table[-1], goal):
            break
    return table


def enough(row: Power, goal: float = 0.8) -> bool:
    """Whether unchanged releases pass, and losses on one env or on all are caught, often enough."""
    return min(row.passes, row.catches, row.catches_one) >= goal


def render(table: Sequence[Power], margin: str, goal: float = 0.8) -> str:
    """The table to print, and the seeds that it recommends; losses are told in margins."""
    if not table:
        return (
            f"no number of seeds up to {CAPS[-1]} lets a release pass at {margin}: failures that "
            "cost as much may stay unseen; take a wider margin"
        )
    head = (
        "  seeds | unchanged | 2 lost on | 2 lost on |  seeds if | 1 lost on | 1 run in",
        "per env |    passes |      all: | noisiest: | unchanged |  one env: | 10 fails",
        "        |           |    caught |    caught |           |    passes |  passes",
    )
    rows = [
        f"{r.seeds:7d} | {r.passes:9.0%} | {r.catches:9.0%} | {r.catches_one:9.0%} "
        f"| {r.mean_seeds:9.1f} | {r.misses:9.1%} | {r.rare:7.0%}"
        for r in table
    ]
    first, last = table[0], table[-1]
    fewer = f"below {first.seeds} seeds none passes: failures that cost a margin may stay unseen"
    if enough(last, goal):
        advice = f"{last.seeds} seeds per env reach {goal:.0%} at {margin}"
    else:
        advice = (
            f"{last.seeds} seeds per env are not enough for {goal:.0%} at {margin}; "
            "take a wider margin, a longer evaluation or more seeds"
        )
    return "\n".join([*head, *rows, fewer, advice])


def _widened(recorded: np.ndarray) -> np.ndarray:
    """Scores about each env's mean, of the spread's upper confidence limit, above the floor."""
    count = len(recorded)
    if count < 2:
        raise ValueError("power needs a baseline of two recorded seeds at least: one has no spread")
    limit = chi2.ppf(1 - SPREAD_CONFIDENCE, count - 1)
    # Drawn with replacement, deviations scatter by their population variance: count, not count - 1.
    level = recorded.mean(axis=0)
    wide = level + (recorded - level) * np.sqrt(count / limit)
    return np.maximum(wide, np.minimum(recorded.min(axis=0), 0.0))
