"""What an optimizer costs in a run: state, time of its step, compilation, memory, speed."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rl_eval.config import RunConfig
from rl_eval.ppo.learner import Optimizer
from rl_eval.ppo.state import LearnerState
from rl_eval.ppo.update import optimizer_step

TIMED_SECONDS = 0.5  # spent on timing the optimizer's step, at least REPEATS times
REPEATS = 5
STEPS_PER_CALL = 10  # so that the call itself does not count


@dataclasses.dataclass(frozen=True)
class Cost:
    """One run's. Times beside other work on the machine mean little; bytes are exact.

    state_multiple: optimizer state over parameters, per seed, as are all bytes but the peaks.
    optimizer_step_ms: of one seed's update alone, timed after the run; null for rules that need
        what only a training step has, and where timing fails.
    optimizer_share: of the run's time, if its steps took as long.
    eval_s: the first evaluation's compilation included.
    sps, sps_with_evaluation: env steps per second of all seeds; the run's compilation left out.
    peak_device_bytes: null where the backend does not tell; peak_rss_bytes is the process's.
    """

    param_bytes: int
    state_bytes: int
    state_multiple: float
    state_bytes_by_leaf: dict[str, int]
    optimizer_step_ms: float | None
    optimizer_share: float | None
    compile_s: float
    run_s: float
    eval_s: float
    sps: float
    sps_with_evaluation: float
    peak_device_bytes: int | None
    peak_rss_bytes: int


def measure(
    config: RunConfig,
    optimizer: Optimizer,
    population: LearnerState,
    *,
    iterations: int,
    compile_s: float,
    run_s: float,
    eval_s: float,
    notify: Callable[[str], None] = lambda message: None,
) -> Cost:
    """The cost of a run of `iterations` that took `run_s`, from its last state [member, ...].

    `notify` is told why the optimizer's step could not be timed, where it could not.
    """
    learner = jax.tree.map(lambda x: x[0], population)
    leaves = jax.tree_util.tree_flatten_with_path(learner.opt_state)[0]
    by_leaf = {jax.tree_util.keystr(path): _nbytes(leaf) for path, leaf in leaves}
    param_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(learner.params))
    members = len(config.seeds)
    env_steps = iterations * config.ppo.batch_size * members
    step_ms = None if optimizer.needs else _timed(config, optimizer, learner, notify)
    share = None
    if step_ms is not None:
        steps = iterations * config.ppo.steps_per_iteration * members
        share = step_ms / 1e3 * steps / run_s
    stats = jax.local_devices()[0].memory_stats() or {}
    return Cost(
        param_bytes=param_bytes,
        state_bytes=sum(by_leaf.values()),
        state_multiple=sum(by_leaf.values()) / param_bytes,
        state_bytes_by_leaf=by_leaf,
        optimizer_step_ms=step_ms,
        optimizer_share=share,
        compile_s=compile_s,
        run_s=run_s,
        eval_s=eval_s,
        sps=env_steps / run_s,
        sps_with_evaluation=env_steps / (run_s + eval_s),
        peak_device_bytes=stats.get("peak_bytes_in_use"),
        peak_rss_bytes=peak_rss(),
    )


def peak_rss() -> int:
    """The most memory this process ever held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _nbytes(leaf: jax.Array) -> int:
    """Of an array, or of a key's words."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return (jax.random.key_data(leaf) if is_key else leaf).nbytes


def _timed(
    config: RunConfig,
    optimizer: Optimizer,
    learner: LearnerState,
    notify: Callable[[str], None],
) -> float | None:
    """Milliseconds of a step; None where it cannot be timed: the run has ended well all the same.

    A rule may fail here that trained: its gradients are those of no game.
    """
    try:
        return _step_ms(config, optimizer, learner)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        notify(f"the optimizer's step could not be timed: {reason}")
        return None


def _step_ms(config: RunConfig, optimizer: Optimizer, learner: LearnerState) -> float:
    """Median milliseconds of one member's update and its addition to the parameters."""
    numbers = learner.hparams.optimizer
    grads = jax.tree.map(lambda x: jnp.full_like(x, 1e-3), learner.params)

    @jax.jit
    def steps(params: Any, opt_state: Any, numbers: Any) -> tuple[Any, Any]:
        rule = optimizer.make(config.num_gradient_steps, numbers)

        def step(_: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            return optimizer_step(rule, grads, *carry, value=jnp.float32(1.0))[:2]

        return jax.lax.fori_loop(0, STEPS_PER_CALL, step, (params, opt_state))

    args = (learner.params, learner.opt_state, numbers)
    jax.block_until_ready(steps(*args))
    times: list[float] = []
    while len(times) < REPEATS or sum(times) < TIMED_SECONDS:
        begun = time.perf_counter()
        jax.block_until_ready(steps(*args))
        times.append(time.perf_counter() - begun)
    return statistics.median(times) / STEPS_PER_CALL * 1e3
