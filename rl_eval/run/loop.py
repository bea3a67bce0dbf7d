"""The host's loop around compiled chunks: record, evaluate, save, hear the user."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from rl_eval.config import RunConfig
from rl_eval.ppo.learner import Optimizer
from rl_eval.ppo.members import take_member
from rl_eval.ppo.population import Population
from rl_eval.ppo.state import TrainState
from rl_eval.records.lock import check_held
from rl_eval.run.evaluate import EndlessGameError, Evaluation, Evaluator
from rl_eval.run.member import Member
from rl_eval.run.stop import StopRequest

MAX_CHUNK = 64  # iterations between two looks of the host; a shorter chunk does not recompile
CHUNK_SECONDS = 1.0  # so that Ctrl-C is heard and the display lives
BEAT_SECONDS = 5.0  # between two heartbeats in status.json
CHECKPOINT_SHARE = 0.02  # of the time, that may go into checkpoints nobody asked for


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a display may show after a chunk. Returns and losses are means over members."""

    env_steps: int
    total_env_steps: int
    sps: float
    episode_return: float | None
    loss: float | None
    eta_s: float


@dataclasses.dataclass(frozen=True)
class Session:
    """What does not change while a run goes on.

    eval_params: (opt_state, params) of the population to the parameters that evaluation uses;
        None where those are the trained ones.
    checkpoint_s: seconds between checkpoints; None: what CHECKPOINT_SHARE allows.
    notify: told, in a sentence, what a user should know.
    """

    config: RunConfig
    population: Population
    optimizer: Optimizer
    members: list[Member]
    evaluator: Evaluator | None
    eval_params: Callable[[Any, Any], Any] | None
    rewindable: bool
    checkpoint_s: float | None
    show: Callable[[Progress], None]
    notify: Callable[[str], None] = lambda message: None

    def check_held(self) -> None:
        """Raises LockedError where a directory became another process's."""
        for member in self.members:
            check_held(member.directory.path)


@dataclasses.dataclass
class Clock:
    """Iterations done, the seconds they took without compilation, and what was last done when."""

    done: int = 0
    wall_s: float = 0.0
    eval_s: float = 0.0
    saved_at: float = dataclasses.field(default_factory=time.monotonic)
    save_s: float = 0.1
    beat_at: float = 0.0


def train_on(session: Session, state: TrainState, clock: Clock, stop: StopRequest) -> TrainState:
    """Iterate to the planned end, or until every member has diverged.

    Raises:
        KeyboardInterrupt, Terminated: asked to stop; a checkpoint was written before.
        CheckpointError: the disk refuses one.
        LockedError: this process was paused, and another took over.
    """
    total, chunk = session.config.num_iterations, 1
    while clock.done < total and not all(m.metrics.diverged for m in session.members):
        n = min(chunk, _next_stop(session.config, clock.done) - clock.done)
        begun = time.perf_counter()
        state, rows = session.population.run(state, n)
        rows = jax.tree.map(np.asarray, rows)
        seconds = time.perf_counter() - begun
        session.check_held()
        for member in session.members:
            member.metrics.add(rows, n, clock.wall_s, clock.wall_s + seconds)
        clock.done, clock.wall_s = clock.done + n, clock.wall_s + seconds
        chunk = int(np.clip(n * CHUNK_SECONDS / seconds, 1, min(2 * n, MAX_CHUNK)))
        _say_starved(session)
        session.show(_progress(session, clock))
        _beat(session, clock)
        if stop.signal is not None:
            save(session, state, clock)
            stop.check()
        if evaluate_if_due(session, state, clock) or _save_due(session, clock):
            save(session, state, clock)
    return state


def evaluate_if_due(session: Session, state: TrainState, clock: Clock) -> bool:
    """Play the games that are due after this iteration; whether somebody was never better."""
    if session.evaluator is None or not _evaluated_after(session.config, clock.done):
        return False
    if all(m.evaluated_at == clock.done for m in session.members):
        return False
    begun = time.perf_counter()
    games, endless = _played(session, state, clock)
    clock.eval_s += time.perf_counter() - begun
    improved = [
        member.evaluated(returns[:0] if no_end else returns, lengths, clock.done, clock.wall_s)
        for member, no_end, returns, lengths in zip(session.members, endless, *games, strict=True)
    ]
    return any(improved)


def _played(session: Session, state: TrainState, clock: Clock) -> tuple[Evaluation, Sequence[bool]]:
    """The games of an evaluation, and whose did not end: training goes on without theirs."""
    assert session.evaluator is not None
    try:
        games = session.evaluator(policy(session, state), clock.done)
        return games, [False] * len(session.members)
    except EndlessGameError as error:
        steps = clock.done * session.config.ppo.batch_size
        session.notify(
            f"the evaluation after {steps:,} env steps is left out, and training goes on: {error}"
        )
        assert error.games is not None
        assert error.endless is not None
        return error.games, error.endless.tolist()


def save(session: Session, state: TrainState, clock: Clock) -> None:
    """Write a checkpoint of every member."""
    begun = time.monotonic()
    if not session.rewindable:
        state = dataclasses.replace(state, env_state=None, obs=None, episodes=None)
    special = policy(session, state) if session.eval_params else None
    for i, member in enumerate(session.members):
        mine = take_member(state, i, len(session.members))
        its_policy = jax.tree.map(lambda x, i=i: x[i : i + 1], special)
        member.save(mine, its_policy, clock.done, clock.wall_s)
    clock.saved_at = time.monotonic()
    clock.save_s = clock.saved_at - begun


def policy(session: Session, state: TrainState) -> Any:
    """The parameters to evaluate, leaves [member, ...]."""
    learner = state.learner
    if session.eval_params is None:
        return learner.params
    return session.eval_params(learner.opt_state, learner.params)


def _eval_period(config: RunConfig) -> int | None:
    """Iterations between evaluations."""
    every = config.evaluation.every
    return None if every is None else max(1, round(every / config.ppo.batch_size))


def _evaluated_after(config: RunConfig, done: int) -> bool:
    period = _eval_period(config)
    return period is not None and (done % period == 0 or done == config.num_iterations)


def _next_stop(config: RunConfig, done: int) -> int:
    """The iteration at which the host must be called next."""
    period = _eval_period(config) or config.num_iterations
    return min((done // period + 1) * period, config.num_iterations)


def _save_due(session: Session, clock: Clock) -> bool:
    wanted = session.checkpoint_s
    period = clock.save_s / CHECKPOINT_SHARE if wanted is None else wanted
    return time.monotonic() - clock.saved_at >= period


def _beat(session: Session, clock: Clock) -> None:
    now = time.monotonic()
    if now - clock.beat_at >= BEAT_SECONDS:
        clock.beat_at = now
        for member in session.members:
            member.directory.set_status("running")


def _say_starved(session: Session) -> None:
    """Tell once of a member whose minibatches have too few valid transitions."""
    ppo = session.config.ppo
    for member in session.members:
        if member.metrics.starved and not member.said_starved:
            member.said_starved = True
            session.notify(
                f"{member.directory.path}: minibatches with fewer than {ppo.min_valid} valid "
                f"transitions of {ppo.minibatch_size}, from which the policy learns nothing; "
                "fewer minibatches hold more. status.json counts them as starved_steps"
            )


def _progress(session: Session, clock: Clock) -> Progress:
    def mean(values: list[float | None]) -> float | None:
        present = [v for v in values if v is not None]
        return float(np.mean(present)) if present else None

    config, metrics = session.config, [m.metrics for m in session.members]
    steps = clock.done * config.ppo.batch_size
    return Progress(
        env_steps=steps,
        total_env_steps=config.num_iterations * config.ppo.batch_size,
        sps=steps * len(metrics) / clock.wall_s,
        episode_return=mean([m.latest_return for m in metrics]),
        loss=mean([m.latest_loss for m in metrics]),
        eta_s=clock.wall_s / clock.done * (config.num_iterations - clock.done),
    )
