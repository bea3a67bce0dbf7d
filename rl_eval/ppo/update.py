"""Epochs of minibatches over one rollout, and the one call to the optimizer."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from rl_eval.config import PPOConfig
from rl_eval.ppo.losses import LossTerms, normalise, ppo_loss
from rl_eval.ppo.networks import Network
from rl_eval.ppo.state import Hparams, LearnerState, is_alive
from rl_eval.types import Transition

MAX_PARAM_NORM = 1e6  # no sensible float32 network is beyond this: it counts as divergence


class Run(NamedTuple):
    """What stays the same for a whole run: compiled in, but for the optimizer's traced numbers."""

    network: Network
    optimizer: optax.GradientTransformationExtraArgs
    config: PPOConfig
    needs: frozenset[str]
    num_iterations: int


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
    """One gradient step. `grad_norm` is taken before clipping, `param_norm` after the step.

    taken: False where the step was left out, or was the one at which the member diverged.
    starved: too few transitions of the minibatch were valid to learn from.
    """

    losses: LossTerms
    grad_norm: Float[Array, ""]
    update_norm: Float[Array, ""]
    param_norm: Float[Array, ""]
    taken: Bool[Array, ""]
    starved: Bool[Array, ""]


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
    """New params, new optimizer state, and the updates: a run's only call of `update`."""
    updates, opt_state = optimizer.update(grads, opt_state, params, **extra)
    return optax.apply_updates(params, updates), opt_state, updates


def clip_by_global_norm(grads: Any, norm: Float[Array, ""], limit: Float[Array, ""]) -> Any:
    """Scale the whole tree so that its norm is at most `limit`; `norm` is its norm now."""
    scale = jnp.where(norm < limit, 1.0, limit / norm)
    return jax.tree.map(lambda g: g * scale, grads)


def minibatch_gradient(
    run: Run, params: Any, batch: Minibatch, hparams: Hparams
) -> tuple[Any, LossTerms, Any]:
    """Gradient of the loss, its terms, and the layers' outputs (computed only if used)."""
    norm_adv, clip_vloss = run.config.norm_adv, run.config.clip_vloss

    def loss(params: Any) -> tuple[Array, tuple[LossTerms, Any]]:
        (logits, value), activations = run.network.apply_recorded(params, batch.step.obs)
        terms = ppo_loss(
            logits,
            value,
            batch.step.action,
            batch.step.log_prob,
            batch.step.value,
            normalise(batch.advantage, batch.step.valid) if norm_adv else batch.advantage,
            batch.target,
            batch.step.valid,
            clip_eps=hparams.clip_eps,
            vf_coef=hparams.vf_coef,
            ent_coef=hparams.ent_coef,
            clip_vloss=clip_vloss,
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


def _needed(run: Run, iteration: Array, count: Array, key: Array, activations: Any) -> Any:
    """The extra arguments that the optimizer asked for."""
    epoch, minibatch = jnp.divmod(count, run.config.num_minibatches)
    sizes = (run.num_iterations, run.config.update_epochs, run.config.num_minibatches)
    offered = {
        "progress": Progress(iteration, epoch, minibatch, *sizes),
        "key": jax.random.fold_in(key, count),
        "activations": activations,
    }
    return {name: offered[name] for name in sorted(run.needs)}


def gradient_step(
    run: Run, state: LearnerState, batch: Minibatch, count: Array, key: Array, stopped: Array
) -> tuple[LearnerState, StepMetrics]:
    """The `count`-th step of an iteration, not taken if `stopped` or the member has diverged."""
    hparams = state.hparams
    grads, terms, activations = minibatch_gradient(run, state.params, batch, hparams)
    grad_norm = tree_norm(grads)
    # Decided before the update, so that the choice fuses into it and costs no pass of its own.
    sound = jnp.isfinite(terms.total) & jnp.isfinite(grad_norm)
    wanted = is_alive(state) & ~stopped
    take = wanted & sound
    params, opt_state, updates = optimizer_step(
        run.optimizer,
        clip_by_global_norm(grads, grad_norm, hparams.max_grad_norm),
        state.params,
        state.opt_state,
        value=value_fed(terms, run.config, hparams),
        **_needed(run, state.iteration, count, key, activations),
    )
    params, opt_state = _select(take, (params, opt_state), (state.params, state.opt_state))
    param_norm = tree_norm(params)
    sound &= param_norm <= MAX_PARAM_NORM  # NaN is not
    few = jnp.sum(batch.step.valid) < run.config.min_valid
    metrics = StepMetrics(terms, grad_norm, tree_norm(updates), param_norm, take & sound, few)
    state = dataclasses.replace(
        state,
        params=params,
        opt_state=opt_state,
        gradient_steps=state.gradient_steps + metrics.taken,
        diverged_at=jnp.where(wanted & ~sound, state.gradient_steps, state.diverged_at),
    )
    return state, metrics


def run_minibatches(
    run: Run,
    first: LearnerState,
    batch: Minibatch,
    indices: Int[Array, "step minibatch"],
    key: jax.Array,
) -> tuple[LearnerState, StepMetrics]:
    """One gradient step per row of `indices`; metrics are [step].

    A step whose loss, gradient or new parameters are not finite (or beyond MAX_PARAM_NORM) is
    the member's last: `diverged_at` is set, and it keeps the parameters it came with, for good.
    """

    def step(
        carry: tuple[LearnerState, Array], now: tuple[Array, Array]
    ) -> tuple[tuple[LearnerState, Array], StepMetrics]:
        state, stopped = carry
        count, rows = now
        chosen = jax.tree.map(lambda x: x[rows], batch)
        state, metrics = gradient_step(run, state, chosen, count, key, stopped)
        ends_epoch = (count + 1) % run.config.num_minibatches == 0
        too_far = metrics.losses.approx_kl > first.hparams.target_kl
        return (state, stopped | (ends_epoch & too_far)), metrics

    counts = jnp.arange(indices.shape[0])
    (state, _), metrics = jax.lax.scan(step, (first, jnp.bool_(False)), (counts, indices))
    params, opt_state = _select(
        is_alive(state), (state.params, state.opt_state), (first.params, first.opt_state)
    )
    return dataclasses.replace(state, params=params, opt_state=opt_state), metrics


def _select(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
