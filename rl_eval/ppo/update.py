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

MAX_PARAM = 1e6  # beyond this no float32 network computes anything sensible: counts as divergence


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
    """One gradient step. `grad_norm` is taken before clipping."""

    losses: LossTerms
    grad_norm: Float[Array, ""]
    update_norm: Float[Array, ""]


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

    A step whose loss, gradient or new parameters are not finite (or beyond MAX_PARAM) is not
    taken, and none after it: the state keeps its last good value and `diverged_at` is set.
    """
    hparams = state.hparams

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
        grad_norm = optax.tree.norm(grads)
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
        metrics = StepMetrics(terms, grad_norm, optax.tree.norm(updates))
        sound = _is_sound(params, metrics)
        take = is_alive(state) & sound & ~stopped
        diverges = is_alive(state) & ~sound & ~stopped
        kept_params, kept_opt = _select(take, (params, opt_state), (state.params, state.opt_state))
        state = dataclasses.replace(
            state,
            params=kept_params,
            opt_state=kept_opt,
            gradient_steps=state.gradient_steps + take,
            diverged_at=jnp.where(diverges, state.gradient_steps, state.diverged_at),
        )
        ends_epoch = minibatch == config.num_minibatches - 1
        return (state, stopped | (ends_epoch & (terms.approx_kl > hparams.target_kl))), metrics

    counts = jnp.arange(indices.shape[0])
    (state, _), metrics = jax.lax.scan(step, (state, jnp.bool_(False)), (counts, indices))
    return state, metrics


def _is_sound(params: Any, metrics: StepMetrics) -> Array:
    """Nothing non-finite, no parameter beyond MAX_PARAM. NaN fails every comparison."""
    largest = jax.tree.reduce(
        jnp.maximum, jax.tree.map(lambda p: jnp.max(jnp.abs(p)), params), jnp.float32(0)
    )
    finite = jnp.isfinite(metrics.losses.total) & jnp.isfinite(metrics.grad_norm)
    return finite & (largest <= MAX_PARAM)


def _select(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
