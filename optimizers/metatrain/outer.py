"""One update of theta: truncate every inner problem, clip, AdamW."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Key

from optimizers.metatrain import particles as inner_problems
from optimizers.metatrain.config import MetaTrainConfig, Outer
from optimizers.metatrain.particles import Inner, Particles
from optimizers.metatrain.rules import MetaRule, Theta
from optimizers.metatrain.tasks.tasks import TaskGroup


class Stream(enum.IntEnum):
    """What a random stream is for. Part of every result: append, never renumber."""

    THETA = 0
    START = 1
    ITERATE = 2


def stream(seed: int, purpose: Stream) -> Key[Array, ""]:
    """The key of one purpose of one run."""
    return jax.random.fold_in(jax.random.key(seed), int(purpose))


@struct.dataclass
class MetaState:
    """All that is needed to go on.

    `theta` is flat, in the rule's units. `usual_norm` is the running mean of each task's
    meta-gradient norm.
    """

    theta: Float[Array, " theta"]
    outer: optax.OptState
    usual_norm: Float[Array, " task"]
    particles: tuple[Particles, ...]
    iteration: Int[Array, ""]


class Progress(NamedTuple):
    """What one iteration did, per task; `restarted` and `blown` count particles."""

    meta_loss: Float[Array, " task"]
    norm: Float[Array, " task"]
    clipped: Bool[Array, " task"]
    restarted: Int[Array, " task"]
    blown: Int[Array, " task"]


class MetaTrainer(NamedTuple):
    """Pure functions, made once a run; `unravel` turns flat theta into the rule's tree."""

    init: Callable[[Theta], MetaState]
    step: Callable[[MetaState], tuple[MetaState, Progress]]
    unravel: Callable[[Float[Array, " theta"]], Theta]


def make_trainer(
    config: MetaTrainConfig, rule: MetaRule, groups: Sequence[TaskGroup]
) -> MetaTrainer:
    """The trainer of one rule on some tasks. `init` and `step` are to be jitted by the caller."""
    ravel, unravel = _flattening(rule, stream(config.seed, Stream.THETA))
    optimizer = outer_optimizer(config.outer, config.iterations)
    inners = [Inner(rule, group, config.unroll, unravel) for group in groups]

    def init(theta: Theta) -> MetaState:
        vector = ravel(theta)
        key = stream(config.seed, Stream.START)
        return MetaState(
            theta=vector,
            outer=optimizer.init(vector),
            usual_norm=jnp.zeros(sum(len(group.names) for group in groups)),
            particles=tuple(
                inner_problems.start(inner, vector, jax.random.fold_in(key, i))
                for i, inner in enumerate(inners)
            ),
            iteration=jnp.zeros((), jnp.int32),
        )

    def step(state: MetaState) -> tuple[MetaState, Progress]:
        key = jax.random.fold_in(stream(config.seed, Stream.ITERATE), state.iteration)
        advanced = [
            inner_problems.truncate(inner, state.theta, x, jax.random.fold_in(key, i))
            for i, (inner, x) in enumerate(zip(inners, state.particles, strict=True))
        ]
        told = jax.tree.map(lambda *x: jnp.concatenate(x), *(told for _, told in advanced))
        gradient, norm, usual_norm = clip_by_usual_norm(
            told.gradient.mean(1), state.usual_norm, state.iteration, config.outer
        )
        direction = (
            mean_over_tasks(gradient, usual_norm) if config.outer.balance else gradient.mean(0)
        )
        updates, outer = optimizer.update(direction, state.outer, state.theta)
        progress = Progress(
            meta_loss=told.meta_loss.mean((1, 2)),
            norm=norm,
            clipped=norm > jnp.linalg.norm(gradient, axis=1) * (1 + 1e-5),
            restarted=told.restarted.sum(1),
            blown=told.blown.sum(1),
        )
        state = MetaState(
            theta=optax.apply_updates(state.theta, updates),
            outer=outer,
            usual_norm=usual_norm,
            particles=tuple(x for x, _ in advanced),
            iteration=state.iteration + 1,
        )
        return state, progress

    return MetaTrainer(init, step, unravel)


def mean_over_tasks(
    gradient: Float[Array, "task theta"], usual_norm: Float[Array, " task"]
) -> Float[Array, " theta"]:
    """Mean of the gradients, each in units of its task's usual norm."""
    return 1 / jnp.maximum(usual_norm, jnp.finfo(usual_norm.dtype).tiny) @ gradient / len(gradient)


def _flattening(
    rule: MetaRule, key: Key[Array, ""]
) -> tuple[Callable[[Theta], Float[Array, " theta"]], Callable[[Float[Array, " theta"]], Theta]]:
    """From theta to a vector in the rule's units, and back."""
    shapes = jax.eval_shape(rule.init_theta, key)
    flat, unravel = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))
    units = None
    if rule.units is not None:
        full = jax.tree.map(lambda x, unit: jnp.full(x.shape, unit), shapes, rule.units(shapes))
        units = ravel_pytree(full)[0]

    def ravel(theta: Theta) -> Float[Array, " theta"]:
        vector = ravel_pytree(theta)[0]
        if vector.size != flat.size:
            raise ValueError(f"theta has {vector.size} numbers, '{rule.name}' needs {flat.size}")
        return vector if units is None else vector / units

    return ravel, unravel if units is None else lambda vector: unravel(vector * units)


def outer_optimizer(outer: Outer, iterations: int) -> optax.GradientTransformation:
    """AdamW under a linear warm-up and a cosine decay to `final_fraction`."""
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=outer.learning_rate,
        warmup_steps=outer.warmup,
        decay_steps=max(iterations, outer.warmup + 1),
        end_value=outer.learning_rate * outer.final_fraction,
    )
    return optax.adamw(schedule, b1=outer.b1, b2=outer.b2, weight_decay=outer.weight_decay)


def clip_by_usual_norm(
    gradient: Float[Array, "task theta"],
    usual_norm: Float[Array, " task"],
    iteration: Int[Array, ""],
    outer: Outer,
) -> tuple[Float[Array, "task theta"], Float[Array, " task"], Float[Array, " task"]]:
    """Shorten each task's gradient to `clip_ratio` times the running mean of its norm.

    The mean counts norms as clipped, so that an outlier hardly moves it; over the first iterations
    it is the plain mean, and the very first gradient is never clipped. Returns the gradients, their
    norms before clipping and the new means.
    """
    norm = jnp.linalg.norm(gradient, axis=1)
    limit = jnp.where(iteration == 0, jnp.inf, outer.clip_ratio * usual_norm)
    clipped = jnp.minimum(norm, limit)
    gradient = gradient * (clipped / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny))[:, None]
    rate = jnp.maximum(1 / (iteration + 1), 1 - outer.clip_decay)
    return gradient, norm, usual_norm + rate * (clipped - usual_norm)
