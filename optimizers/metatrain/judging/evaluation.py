"""Held-out evaluation: theta against AdamW, both at the best of the same nine learning rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
import optax

from optimizers.metatrain import rules
from optimizers.metatrain.judging import heldout
from optimizers.metatrain.judging.rates import Make, mean_losses
from optimizers.metatrain.tasks.tasks import MetaTask, TaskGroup, group_tasks

RATES = tuple(float(10 ** (k / 2)) for k in range(-10, -1))  # 1e-5 ... 1e-1
STEP = 1e-3  # that celo2 and AdamW are built with; other rules have their own and no rate
SEED = 20_250_228
ADAMW = {
    f"adamw b2={b2}": lambda n, b2=b2: optax.adamw(STEP, b2=b2, weight_decay=0.0)
    for b2 in (0.95, 0.999)
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One optimizer on one task: mean training loss by learning rate, then by seed."""

    task: str
    optimizer: str
    rates: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def best(self) -> tuple[float, float]:
        """(learning rate, mean over seeds of the loss there)."""
        means = np.mean(self.losses, 1)
        return self.rates[int(means.argmin())], float(means.min())

    @property
    def spread(self) -> float:
        """Standard error of the mean at the best rate; nan for a single seed."""
        at_best = self.losses[self.rates.index(self.best[0])]
        return float(np.std(at_best, ddof=1) / len(at_best) ** 0.5) if len(at_best) > 1 else np.nan


def evaluate(
    theta: rules.Theta,
    rule: rules.MetaRule,
    *,
    tasks: Sequence[MetaTask] | None = None,
    num_steps: int = 1000,
    num_seeds: int = 5,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Theta, an untrained theta as control, and AdamW at two b2, on every held-out task.

    Learning rates fall linearly to zero; weight decay is 0. Minutes a task on one core.
    """
    untrained = rule.init_theta(jax.random.key(SEED))
    makes: dict[str, Make] = {
        rule.name: lambda n: rule.make(theta, n),
        f"{rule.name} untrained": lambda n: rule.make(untrained, n),
        **ADAMW,
    }
    rows = []
    for group in (group_tasks([task])[0] for task in tasks or heldout.tasks()):
        for name, make in makes.items():
            rows.append(measure(name, make, group, num_steps, num_seeds))
            if progress:
                progress(rows[-1])
    return rows


def measure(name: str, make: Make, group: TaskGroup, num_steps: int, num_seeds: int) -> Row:
    """One row, for a group of one task; `make` has the step size `STEP`."""
    multiples = [rate / STEP for rate in RATES]
    key = jax.random.key(SEED)
    run = jax.jit(
        lambda: mean_losses(make, group, multiples, key, num_steps, num_seeds, linear_decay=True)
    )
    losses = np.asarray(run(), np.float64)[:, 0].round(5)
    return Row(group.names[0], name, RATES, tuple(map(tuple, losses.tolist())))


def to_markdown(rows: Sequence[Row]) -> str:
    """Best rate, loss there (± standard error) and ratio to the better AdamW, by task."""
    lines = ["| task | optimizer | best rate | mean loss | over AdamW |", "|---|---|---|---|---|"]
    for row in rows:
        yardstick = min(x.best[1] for x in rows if x.task == row.task and x.optimizer in ADAMW)
        rate, loss = row.best
        lines.append(
            f"| {row.task} | {row.optimizer} | {rate:.1e} "
            f"| {loss:.4f} ± {row.spread:.4f} | {loss / yardstick:.2f} |"
        )
    return "\n".join(lines)
