"""Inner problems in flight, and one truncation of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from optimizers.metatrain import pes
from optimizers.metatrain.config import Unroll
from optimizers.metatrain.rules import MetaRule, Theta
from optimizers.metatrain.tasks.tasks import Batch, Params, TaskGroup


@struct.dataclass
class Particles:
    """Antithetic pairs of inner problems; leaves of `params` and `opt_state` are [task, particle,
    pair, ...].

    `factor` is the reparametrisation: the problem is trained in params / factor. `perturbation`
    is the sum of all perturbations since the restart. `blown` marks a pair that has to be given up.
    """

    params: Params
    opt_state: optax.OptState
    perturbation: Float[Array, "task particle theta"]
    factor: Float[Array, "task particle"]
    step: Int[Array, "task particle"]
    length: Int[Array, "task particle"]
    blown: Bool[Array, "task particle"]


class Truncation(NamedTuple):
    """What one truncation tells about theta, per particle."""

    gradient: Float[Array, "task particle theta"]
    meta_loss: Float[Array, "task particle pair"]
    restarted: Bool[Array, "task particle"]
    blown: Bool[Array, "task particle"]


class Inner(NamedTuple):
    """What stays the same over meta-training of one group of tasks."""

    rule: MetaRule
    group: TaskGroup
    unroll: Unroll
    unravel: Callable[[Float[Array, " theta"]], Theta]

    @property
    def shape(self) -> tuple[int, int]:
        """(tasks, particles)."""
        return len(self.group.names), self.unroll.particles


def start(inner: Inner, theta: Float[Array, " theta"], key: Key[Array, ""]) -> Particles:
    """Fresh particles, each credited with a random part of its unroll so that restarts spread."""
    fresh_key, offset_key = jax.random.split(key)
    unroll, shape = inner.unroll, inner.shape
    pairs = jnp.broadcast_to(theta, (*shape, 2, theta.size))
    particles = _fresh(inner, pairs, fresh_key)
    truncations = particles.length // unroll.truncation
    offset = jax.random.uniform(offset_key, shape) * truncations
    step = offset.astype(jnp.int32) * unroll.truncation
    return dataclasses.replace(particles, step=step)


def _fresh(
    inner: Inner, pairs: Float[Array, "task particle pair theta"], key: Key[Array, ""]
) -> Particles:
    """Particles at step 0: both of a pair start from the same parameters."""
    unroll, shape = inner.unroll, inner.shape
    init_key, factor_key, length_key = jax.random.split(key, 3)
    factor = _log_uniform(factor_key, shape, unroll.narrowest, unroll.widest)
    exact = _log_uniform(length_key, shape, unroll.shortest, unroll.longest)
    length = jnp.maximum(jnp.round(exact / unroll.truncation), 1).astype(jnp.int32)
    length = length * unroll.truncation

    def one(key: Key[Array, ""], factor: Float[Array, ""]) -> Params:
        return divide(inner.group.init(key), factor)

    single = jax.vmap(jax.vmap(one))(jax.random.split(init_key, shape), factor)
    params = jax.tree.map(lambda x: jnp.stack([x, x], axis=2), single)

    def init(
        theta: Float[Array, " theta"], params: Params, num_steps: Float[Array, ""]
    ) -> optax.OptState:
        return inner.rule.make(inner.unravel(theta), num_steps).init(params)

    return Particles(
        params=params,
        opt_state=_over_pairs(init)(pairs, params, _both(length.astype(jnp.float32))),
        perturbation=jnp.zeros((*shape, pairs.shape[-1])),
        factor=factor,
        step=jnp.zeros(shape, jnp.int32),
        length=length,
        blown=jnp.zeros(shape, bool),
    )


def truncate(
    inner: Inner, theta: Float[Array, " theta"], particles: Particles, key: Key[Array, ""]
) -> tuple[Particles, Truncation]:
    """Restart what is finished, perturb theta, run `unroll.truncation` steps of every particle."""
    restart_key, perturb_key, batch_key = jax.random.split(key, 3)
    unroll = inner.unroll
    epsilon, pairs = pes.antithetic(perturb_key, theta, unroll.sigma, inner.shape)

    restarted = particles.blown | (particles.step >= particles.length)
    fresh = _fresh(inner, pairs, restart_key)
    particles = jax.tree.map(lambda new, old: _select(restarted, new, old), fresh, particles)
    perturbation = particles.perturbation + epsilon

    params, opt_state, losses = _run(inner, pairs, particles, batch_key)
    meta_loss = pes.saturate(losses).mean(0)
    blown = ~jnp.isfinite(losses).all((0, 3))
    particles = dataclasses.replace(
        particles,
        params=params,
        opt_state=opt_state,
        perturbation=perturbation,
        step=particles.step + unroll.truncation,
        blown=blown,
    )
    gradient = pes.gradient(perturbation, meta_loss, unroll.sigma)
    return particles, Truncation(gradient, meta_loss, restarted, blown)


def _run(
    inner: Inner,
    pairs: Float[Array, "task particle pair theta"],
    particles: Particles,
    key: Key[Array, ""],
) -> tuple[Params, optax.OptState, Float[Array, "step task particle pair"]]:
    """`unroll.truncation` inner steps; both of a pair see the same batches."""
    rule, group, unroll, _ = inner
    thetas = _over_pairs(inner.unravel)(pairs)

    def step(
        theta: Theta,
        num_steps: Float[Array, ""],
        factor: Float[Array, ""],
        left: Float[Array, ""],
        batch: Batch,
        params: Params,
        opt_state: optax.OptState,
    ) -> tuple[Params, optax.OptState, Float[Array, ""]]:
        loss, grads = jax.value_and_grad(lambda p: group.loss(multiply(p, factor), batch))(params)
        grads = jax.tree.map(jnp.nan_to_num, grads)
        opt = optax.with_extra_args_support(rule.make(theta, num_steps))
        updates, opt_state = opt.update(grads, opt_state, params, value=loss)
        if unroll.linear_decay:  # and only then: a product by 1 would change the rounding
            updates = optax.tree.scale(left, updates)
        return optax.apply_updates(params, updates), opt_state, loss

    pair_axes = (0, None, None, None, None, 0, 0)
    every = jax.vmap(jax.vmap(jax.vmap(step, pair_axes)))
    num_steps = particles.length.astype(jnp.float32)

    def body(carry: Any, now: tuple[Int[Array, ""], Int[Array, "task particle batch"]]) -> Any:
        params, opt_state = carry
        count, rows = now
        left = jnp.maximum(1 - (particles.step + count) / num_steps, 0)
        params, opt_state, loss = every(
            thetas, num_steps, particles.factor, left, group.batch(rows), params, opt_state
        )
        return (params, opt_state), loss

    rows = group.draw(key, unroll.truncation, unroll.particles)
    begin = particles.params, particles.opt_state
    (params, opt_state), losses = jax.lax.scan(body, begin, (jnp.arange(len(rows)), rows))
    return params, opt_state, losses


def divide(params: Params, factor: Float[Array, ""]) -> Params:
    """Parameters in the reparametrised problem."""
    return jax.tree.map(lambda x: x / factor, params)


def multiply(params: Params, factor: Float[Array, ""]) -> Params:
    """Back to the parameters that the loss understands."""
    return jax.tree.map(lambda x: x * factor, params)


def _log_uniform(
    key: Key[Array, ""], shape: tuple[int, ...], low: float | int, high: float | int
) -> Float[Array, ...]:
    return jnp.exp(jax.random.uniform(key, shape, minval=jnp.log(low), maxval=jnp.log(high)))


def _over_pairs(function: Any) -> Any:
    """`function` over leading axes task, particle, pair."""
    return jax.vmap(jax.vmap(jax.vmap(function)))


def _both(x: Float[Array, "task particle"]) -> Float[Array, "task particle pair"]:
    return jnp.stack([x, x], axis=-1)


def _select(where: Bool[Array, "task particle"], new: PyTree, old: PyTree) -> PyTree:
    return jnp.where(where.reshape(where.shape + (1,) * (new.ndim - 2)), new, old)
