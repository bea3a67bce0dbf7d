"""An optimizer of your own, for `rl-eval train --optimizer my_optimizer:make` in this folder."""

from __future__ import annotations

import optax


def make(
    num_steps: int, learning_rate: float = 3e-4, momentum: float = 0.9
) -> optax.GradientTransformation:
    """Sign descent with momentum; `num_steps` is the number of gradient steps of the run."""
    schedule = optax.linear_schedule(learning_rate, 0.0, num_steps)
    return optax.chain(
        optax.trace(momentum), optax.scale_by_sign(), optax.scale_by_learning_rate(schedule)
    )
