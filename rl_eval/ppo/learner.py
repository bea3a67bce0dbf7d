"""A learner is three pure functions: init, act, update."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Shaped

from rl_eval.config import PPOConfig
from rl_eval.ppo.gae import compute_gae
from rl_eval.ppo.losses import LossTerms, explained_variance
from rl_eval.ppo.networks import Network
from rl_eval.ppo.state import NOT_DIVERGED, Hparams, LearnerState
from rl_eval.ppo.update import Minibatch, Run, run_minibatches
from rl_eval.prng import Purpose
from rl_eval.types import Transition


class Optimizer(NamedTuple):
    """What a learner is told of an optimizer.

    make: (number of gradient steps of the run, traced hyperparameters) to an optax transformation.
    needs: extra arguments beyond `params` and `value`; see `optimizers.spec`.
    eval_params: (opt_state, params) to the parameters to evaluate, where they are not `params`.
    traced: the hyperparameters that `make` is given as arrays, by name.
    follows_run: `make` takes, or leaves out, a third argument: gradient steps left out so far.
    """

    make: Callable[..., optax.GradientTransformationExtraArgs]
    needs: frozenset[str] = frozenset()
    eval_params: Callable[[Any, Any], Any] | None = None
    traced: Mapping[str, float] = MappingProxyType({})
    follows_run: bool = False

    def numbers(self, hyperparameters: Mapping[str, Any]) -> dict[str, float]:
        """A member's traced hyperparameters; what it does not name is as in `traced`.

        JSON has inf and nan as text.
        """
        return {n: float(hyperparameters.get(n, value)) for n, value in self.traced.items()}


class UpdateMetrics(NamedTuple):
    """One iteration: means over the gradient steps taken, NaN without any.

    param_norm: after the last step.
    starved: how many of the steps had too few valid transitions to learn from.
    """

    losses: LossTerms
    grad_norm: Float[Array, ""]
    update_norm: Float[Array, ""]
    param_norm: Float[Array, ""]
    explained_variance: Float[Array, ""]
    starved: Int[Array, ""]


class Learner(NamedTuple):
    """init(key, hparams), act(params, prepared obs, key), update(state, rollout)."""

    init: Callable[[jax.Array, Hparams], LearnerState]
    act: Callable[[Any, Array, jax.Array], tuple[Array, Array, Array]]
    update: Callable[[LearnerState, Transition], tuple[LearnerState, UpdateMetrics]]


def make_learner(
    network: Network, optimizer: Optimizer, config: PPOConfig, num_iterations: int
) -> Learner:
    """PPO with any optax optimizer. Every function is pure and can be vmapped over members.

    Raises:
        ValueError: minibatches from which nothing can be learned.
    """
    config.check_minibatches()
    num_gradient_steps = num_iterations * config.steps_per_iteration

    def build(hparams: Hparams, skipped_steps: ArrayLike) -> optax.GradientTransformationExtraArgs:
        skipped = (skipped_steps,) if optimizer.follows_run else ()
        return optimizer.make(num_gradient_steps, hparams.optimizer, *skipped)

    def init(key: jax.Array, hparams: Hparams) -> LearnerState:
        params = network.init(jax.random.fold_in(key, Purpose.PARAMS))
        return LearnerState(
            params=params,
            opt_state=build(hparams, 0).init(params),
            hparams=hparams,
            key=key,
            iteration=jnp.int32(0),
            gradient_steps=jnp.int32(0),
            diverged_at=jnp.int32(NOT_DIVERGED),
        )

    def act(
        params: Any, obs: Shaped[Array, "env ..."], key: jax.Array
    ) -> tuple[Int[Array, " env"], Float[Array, " env"], Float[Array, " env"]]:
        logits, value = network.apply(params, obs)
        action = jax.random.categorical(key, logits)
        log_probs = jax.nn.log_softmax(logits)
        return action, jnp.take_along_axis(log_probs, action[:, None], -1)[:, 0], value

    def update(state: LearnerState, rollout: Transition) -> tuple[LearnerState, UpdateMetrics]:
        # Steps are left out at the end of an iteration only: this holds for all of this one.
        skipped = state.iteration * config.steps_per_iteration - state.gradient_steps
        rule = build(state.hparams, skipped)
        run = Run(network, rule, config, optimizer.needs, num_iterations)
        advantages = compute_gae(rollout, state.hparams.gamma, state.hparams.gae_lambda)
        batch = Minibatch(rollout, advantages, advantages + rollout.value)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        indices = shuffled(_stream(state, Purpose.SHUFFLE), config)
        key = _stream(state, Purpose.OPTIMIZER)
        state, steps = run_minibatches(run, state, flat, indices, key)
        mean = functools.partial(_mean_taken, taken=steps.taken)
        metrics = UpdateMetrics(
            jax.tree.map(mean, steps.losses),
            mean(steps.grad_norm),
            mean(steps.update_norm),
            steps.param_norm[-1],
            explained_variance(rollout.value, batch.target, rollout.valid),
            jnp.sum(steps.starved & steps.taken),
        )
        return dataclasses.replace(state, iteration=state.iteration + 1), metrics

    return Learner(init, act, update)


def shuffled(key: jax.Array, config: PPOConfig) -> Int[Array, "step minibatch"]:
    """The rows of every minibatch: a fresh permutation an epoch.

    By sorting 32 random bits a row, once. `jax.random.permutation` sorts twice, against ties,
    which keep their order here and are too few to matter: less than one pair in 8192 rows.
    """
    bits = jax.random.bits(key, (config.update_epochs, config.batch_size))
    return jnp.argsort(bits, axis=-1).reshape(-1, config.minibatch_size)


def _mean_taken(x: Float[Array, " step"], taken: Bool[Array, " step"]) -> Float[Array, ""]:
    return jnp.sum(jnp.where(taken, x, 0.0)) / jnp.sum(taken)


def _stream(state: LearnerState, purpose: Purpose) -> jax.Array:
    """This iteration's key for a purpose."""
    return jax.random.fold_in(jax.random.fold_in(state.key, purpose), state.iteration)
