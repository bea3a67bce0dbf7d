"""The number that tells thetas apart: fixed problems, fixed seeds, unperturbed theta.

The meta-loss of a run is too noisy to choose by. Here theta trains every task from the same starts
on the same batches at each of seven learning rates; its score is the mean loss over all steps and
tasks at the best single rate. Adam on the same problems is the yardstick.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from optimizers.metatrain.judging.rates import Make, mean_losses
from optimizers.metatrain.rules import MetaRule, Theta
from optimizers.metatrain.tasks.tasks import TaskGroup

MULTIPLES = tuple(float(10 ** (k / 2)) for k in range(-2, 5))  # of the step size 1e-3
SEED = 20_240_229  # of the metric's problems: no training run draws from this stream


@dataclasses.dataclass(frozen=True)
class Score:
    """Mean loss over all steps, lower is better.

    Attributes:
        best: mean over tasks at the best single learning rate.
        tuned: mean over tasks, each at its own best rate.
        default: mean over tasks at the rule's own step size.
        losses: by learning rate, then by task, mean over seeds.
    """

    best: float
    tuned: float
    default: float
    losses: tuple[tuple[float, ...], ...]


Scorer = Callable[[Theta], Score]


def scorer(
    rule: MetaRule, groups: Sequence[TaskGroup], *, num_steps: int = 1000, num_seeds: int = 2
) -> Scorer:
    """A function from theta to its score, compiled on first use."""
    run = jax.jit(
        lambda theta: _losses(lambda n: rule.make(theta, n), groups, num_steps, num_seeds)
    )
    return lambda theta: summarise(run(theta))


def adam(groups: Sequence[TaskGroup], *, num_steps: int = 1000, num_seeds: int = 2) -> Score:
    """The yardstick: Adam with step size 1e-3 and its multiples."""
    run = jax.jit(lambda: _losses(lambda n: optax.adam(1e-3), groups, num_steps, num_seeds))
    return summarise(run())


def to_markdown(scores: Mapping[str, Score]) -> str:
    """A table of scores by the name of what was scored."""
    lines = ["| optimizer | best single rate | best rate per task | own step size |"]
    lines.append("|---|---|---|---|")
    for name, score in scores.items():
        lines.append(f"| {name} | {score.best:.3f} | {score.tuned:.3f} | {score.default:.3f} |")
    return "\n".join(lines)


def summarise(losses: Float[Array, "rate task seed"]) -> Score:
    """The score in numbers."""
    table = np.asarray(losses, np.float64).mean(2)
    return Score(
        best=float(table.mean(1).min()),
        tuned=float(table.min(0).mean()),
        default=float(table.mean(1)[MULTIPLES.index(1.0)]),
        losses=tuple(tuple(round(float(x), 5) for x in row) for row in table),
    )


def _losses(
    make: Make, groups: Sequence[TaskGroup], num_steps: int, num_seeds: int
) -> Float[Array, "rate task seed"]:
    by_group = [
        mean_losses(make, group, MULTIPLES, jax.random.key(SEED), num_steps, num_seeds)
        for group in groups
    ]
    return jnp.concatenate(by_group, axis=1)
