"""The smallest things that can be meta-trained; run as a script, a process to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optimizers.metatrain import Cadence, MetaRule, MetaTask, MetaTrainConfig, Unroll, train


def sgd_rule() -> MetaRule:
    """Gradient descent whose log step size is learned."""
    return MetaRule(
        "sgd",
        lambda key: {"log_step": jnp.log(jnp.full(1, 0.05))},
        lambda theta, num_steps: optax.sgd(jnp.exp(theta["log_step"][0])),
    )


def parabola(name: str = "parabola", start: float = 1.0) -> MetaTask:
    """0.5 x^2 from a fixed start: losses under `sgd_rule` have a closed form."""
    return MetaTask(
        name,
        init=lambda key: {"x": jnp.float32(start)},
        loss=lambda params, batch: 0.5 * params["x"] ** 2,
        examples=np.zeros(1, np.float32),
        batch_size=1,
    )


def noisy_parabola() -> MetaTask:
    """Random starts and batches, so that every random stream matters."""
    return MetaTask(
        "noisy",
        init=lambda key: {"x": jax.random.normal(key, (3,))},
        loss=lambda params, batch: jnp.mean((params["x"] - batch) ** 2),
        examples=np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32),
        batch_size=4,
    )


CONFIG = MetaTrainConfig(
    optimizer="sgd",
    iterations=60,
    unroll=Unroll(particles=3, truncation=5, shortest=10, longest=50),
)


if __name__ == "__main__":  # meta-train until killed, with a checkpoint after every row
    train(
        CONFIG,
        Path(sys.argv[1]),
        rule=sgd_rule(),
        inner=[noisy_parabola()],
        cadence=Cadence(record=5, checkpoint=0.0, metric=0),
    )
