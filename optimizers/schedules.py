"""Learning-rate schedules whose peak and warm-up may be traced."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

KINDS = ("constant", "linear", "cosine")


def make_schedule(
    learning_rate: jax.typing.ArrayLike,
    kind: str,
    warmup_share: jax.typing.ArrayLike,
    num_steps: int,
    skipped_steps: jax.typing.ArrayLike = 0,
) -> optax.Schedule:
    """Linear warm-up from 0, then constant, linear to 0 or half a cosine to 0.

    Unlike optax's schedules it may be vmapped over the peak and the length of the warm-up.

    Args:
        learning_rate: the peak, reached after the warm-up.
        kind: what follows the warm-up, one of `KINDS`.
        warmup_share: share of `num_steps` spent warming up, in [0, 1]. The first step is number 0,
            so that with any warm-up it has rate 0.
        num_steps: gradient steps of the whole run; a falling schedule reaches 0 there and stays.
        skipped_steps: steps of the run that were left out so far, and so not counted.

    Raises:
        ValueError: an unknown `kind`, `num_steps` below 1, `warmup_share` outside [0, 1].
    """
    if kind not in KINDS:
        raise ValueError(f"schedule must be one of {', '.join(KINDS)}, got {kind!r}")
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
    if isinstance(warmup_share, (int, float)) and not 0 <= warmup_share <= 1:
        raise ValueError(f"warmup_share must lie in [0, 1], got {warmup_share}")

    def schedule(count: jax.typing.ArrayLike) -> Float[Array, ...]:
        step = jnp.asarray(count + skipped_steps, jnp.float32)
        warmup = jnp.asarray(warmup_share, jnp.float32) * num_steps
        rest = num_steps - warmup
        rise = step / jnp.where(warmup > 0, warmup, 1.0)
        done = jnp.clip((step - warmup) / jnp.where(rest > 0, rest, 1.0), 0.0, 1.0)
        fall = {
            "constant": jnp.ones_like(done),
            "linear": 1.0 - done,
            "cosine": 0.5 * (1.0 + jnp.cos(jnp.pi * done)),
        }[kind]
        return jnp.asarray(learning_rate) * jnp.where(step < warmup, rise, fall)

    return schedule
