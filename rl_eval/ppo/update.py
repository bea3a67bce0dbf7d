"""Epochs of minibatches over one rollout, and the one call to the optimizer."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from rl_eval.config import PPOConfig
from rl_eval.ppo.losses import LossTerms, normalise, ppo_loss
from rl_eval.ppo.networks import Network
from rl_eval.ppo.state import Hparams, LearnerState, is_alive
from rl_eval.types import Transition

MAX_PARAM_NORM = 1e6  # no sensible float32 network is beyond this: it counts as divergence


class Progress(NamedTuple):
    """Where in its run an optimizer is; for rules whose spec needs `progress`."""

    iteration: Int[Array, ""]
    epoch: Int[Array, ""]
    minibatch: Int[Array, ""]
    num_iterations: int
    update_epochs: int
    num_minibatches: int


class Minibatch(NamedTuple):
    """What the loss reads of each sampled transition."""

    step: Transition
    advantage: Float[Array, " batch"]
    target: Float[Array, " batch"]


class StepMetrics(NamedTuple):
    """One gradient step. `grad_norm` is taken before clipping, `param_norm` after the step."""

    losses: LossTerms
    grad_norm: Float[Array, ""]
    update_norm: Float[Array, ""]
    param_norm: Float[Array, ""]


def tree_norm(tree: Any) -> Float[Array, ""]:
    """Euclidean norm of all leaves together.

    As dot products: XLA's CPU backend vectorises those, but not a plain sum of squares.
    """
    squares = [jnp.vdot(x, x) for x in map(jnp.ravel, jax.tree.leaves(tree))]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def optimizer_step(
    optimizer: optax.GradientTransformationExtraArgs,
    grads: Any,
    params: Any,
    opt_state: Any,
    **extra: Any,
) -> tuple[Any, Any, Any]:
    """New params, new optimizer state, and the updates: the only call to `optimizer.update`."""
    updates, opt_state = optimizer.update(grads, opt_state, params, **extra)
    return optax.apply_updates(params, updates), opt_state, updates


def clip_by_global_norm(grads: Any, norm: Float[Array, ""], limit: Float[Array, ""]) -> Any:
    """Scale the whole tree so that its norm is at most `limit`; `norm` is its norm now."""
    scale = jnp.where(norm < limit, 1.0, limit / norm)
    return jax.tree.map(lambda g: g * scale, grads)


def minibatch_gradient(
    network: Network, config: PPOConfig, params: Any, batch: Minibatch, hparams: Hparams
) -> tuple[Any, LossTerms, Any]:
    """Gradient of the loss, its terms, and the layers' outputs (computed only if used)."""

    def loss(params: Any) -> tuple[Array, tuple[LossTerms, Any]]:
        (logits, value), activations = network.apply_recorded(params, batch.step.obs)
        terms = ppo_loss(
            logits,
            value,
            batch.step.action,
            batch.step.log_prob,
            batch.step.value,
            normalise(batch.advantage, batch.step.valid) if config.norm_adv else batch.advantage,
            batch.target,
            batch.step.valid,
            clip_eps=hparams.clip_eps,
            vf_coef=hparams.vf_coef,
            ent_coef=hparams.ent_coef,
            clip_vloss=config.clip_vloss,
        )
        return terms.total, (terms, activations)

    grads, (terms, activations) = jax.grad(loss, has_aux=True)(params)
    return grads, terms, activations


def value_fed(terms: LossTerms, config: PPOConfig, hparams: Hparams) -> Float[Array, ""]:
    """The loss an optimizer is told, as configured."""
    if config.optimizer_value == "value":
        return terms.value
    if config.optimizer_value == "policy+value":
        return terms.policy + hparams.vf_coef * terms.value
    return terms.total


def run_minibatches(
    network: Network,
    optimizer: optax.GradientTransformationExtraArgs,
    config: PPOConfig,
    needs: frozenset[str],
    num_iterations: int,
    state: LearnerState,
    batch: Minibatch,
    indices: Int[Array, "step minibatch"],
    key: jax.Array,
) -> tuple[LearnerState, StepMetrics]:
    """One gradient step per row of `indices`; metrics are [step].

    A step whose loss, gradient or new parameters are not finite (or beyond MAX_PARAM_NORM) is
    the member's last: `diverged_at` is set, and it keeps the parameters it came with, for good.
    """
    hparams = state.hparams
    first = state

    def step(
        carry: tuple[LearnerState, Array], now: tuple[Array, Array]
    ) -> tuple[tuple[LearnerState, Array], StepMetrics]:
        state, stopped = carry
        count, rows = now
        epoch, minibatch = count // config.num_minibatches, count % config.num_minibatches
        chosen = jax.tree.map(lambda x: x[rows], batch)
        grads, terms, activations = minibatch_gradient(
            network, config, state.params, chosen, hparams
        )
        grad_norm = tree_norm(grads)
        # Decided before the update, so that the choice fuses into it and costs no pass of its own.
        sound = jnp.isfinite(terms.total) & jnp.isfinite(grad_norm)
        take = is_alive(state) & sound & ~stopped
        offered = {
            "progress": Progress(
                state.iteration,
                epoch,
                minibatch,
                num_iterations,
                config.update_epochs,
                config.num_minibatches,
            ),
            "key": jax.random.fold_in(key, count),
            "activations": activations,
        }
        params, opt_state, updates = optimizer_step(
            optimizer,
            clip_by_global_norm(grads, grad_norm, hparams.max_grad_norm),
            state.params,
            state.opt_state,
            value=value_fed(terms, config, hparams),
            **{name: offered[name] for name in sorted(needs)},
        )
        new = _select(take, (params, opt_state), (state.params, state.opt_state))
        metrics = StepMetrics(terms, grad_norm, tree_norm(updates), tree_norm(new[0]))
        sound &= metrics.param_norm <= MAX_PARAM_NORM  # NaN is not
        diverges = is_alive(state) & ~stopped & ~sound
        state = dataclasses.replace(
            state,
            params=new[0],
            opt_state=new[1],
            gradient_steps=state.gradient_steps + (take & sound),
            diverged_at=jnp.where(diverges, state.gradient_steps, state.diverged_at),
        )
        ends_epoch = minibatch == config.num_minibatches - 1
        return (state, stopped | (ends_epoch & (terms.approx_kl > hparams.target_kl))), metrics

    counts = jnp.arange(indices.shape[0])
    (state, _), metrics = jax.lax.scan(step, (state, jnp.bool_(False)), (counts, indices))
    params, opt_state = _select(
        is_alive(state), (state.params, state.opt_state), (first.params, first.opt_state)
    )
    return dataclasses.replace(state, params=params, opt_state=opt_state), metrics


def _select(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
