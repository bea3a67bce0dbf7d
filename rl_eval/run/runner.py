"""A run from its configuration to its end: a new one, or a resumed one."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax

from rl_eval.config import RunConfig, alone, to_dict
from rl_eval.devices import unrepeatable
from rl_eval.envs.base import closed
from rl_eval.envs.scores import random_score
from rl_eval.errors import machine_fault
from rl_eval.ppo.learner import Optimizer
from rl_eval.ppo.state import TrainState
from rl_eval.reading import Recorded
from rl_eval.records.lock import LockedError, locked
from rl_eval.records.provenance import provenance
from rl_eval.records.run import INTERRUPTED, TRAINED_WITH, RunDirectory, RunExistsError, Status
from rl_eval.run.build import Build, Built, build, start
from rl_eval.run.cost import measure
from rl_eval.run.fit import check_optimizer, pace
from rl_eval.run.loop import Clock, Progress, Session, evaluate_if_due, save, train_on
from rl_eval.run.member import Member
from rl_eval.run.restoring import newest_checkpoints, wall_s_of, with_checkpoints
from rl_eval.run.sinks import Sinks
from rl_eval.run.stop import Terminated, graceful
from rl_eval.types import Environment


@dataclasses.dataclass(frozen=True)
class Result:
    """How one seed's run ended.

    `final_return`: mean full-game return of the last 10 % of training; `eval_return`: that of the
    last evaluation. For a diverged seed both are the stated score of divergence.
    """

    run_dir: str
    status: Status
    seed: int
    env_steps: int
    gradient_steps: int
    final_return: float | None
    eval_return: float | None
    sps: float
    compile_s: float
    diverged_at: int | None


@dataclasses.dataclass(frozen=True)
class Options:
    """What does not change a run's numbers.

    checkpoint_s: seconds between checkpoints; None: as often as costs little.
    log: where records go besides the run directory; see `rl_eval.run.sinks`.
    cost: whether to time the optimizer alone at the end, which compiles it once more.
    notify: told, in a sentence, what a user should know.
    """

    checkpoint_s: float | None = None
    log: tuple[str, ...] = ()
    cost: bool = True
    show: Callable[[Progress], None] = lambda progress: None
    notify: Callable[[str], None] = lambda message: None


class Planned(NamedTuple):
    """One run of one seed that is yet to begin.

    facts: go into its record as they are, beside what the machine and the code say.
    """

    config: RunConfig
    out: Path
    facts: Mapping[str, Any]


_INTERRUPTED = f"{INTERRUPTED}; `rl-eval train --resume` goes on"


def run_directories(config: RunConfig, out: Path) -> list[Path]:
    """`out` itself for one seed, a sub-directory a seed for several."""
    if len(config.seeds) == 1:
        return [out]
    return [out / f"seed-{seed}" for seed in config.seeds]


def train(
    config: RunConfig,
    optimizer: Optimizer,
    out: Path,
    facts: Mapping[str, Any],
    options: Options = Options(),
    make: Build = build,
) -> list[Result]:
    """Train every seed of `config` as one population and record each in its own directory.

    `facts` go into the record as they are, beside what the machine and the code say. `make` is
    `build`, or one that remembers what it built.

    Raises:
        RunExistsError: a directory is taken; nothing is written then.
        SettingsError: the parts of the configuration do not fit together; likewise.
        LockedError: another process is at work there.
        CheckpointError: the disk refuses a checkpoint.
    """
    siblings = {"population": list(config.seeds)}
    planned = [
        Planned(one, path, {**siblings, **facts})
        for one, path in zip(alone(config), run_directories(config, out), strict=True)
    ]
    return train_together(planned, optimizer, options, make)


def train_together(
    planned: Sequence[Planned],
    optimizer: Optimizer,
    options: Options = Options(),
    make: Build = build,
) -> list[Result]:
    """Train runs that differ in no more than seeds and traced numbers as one population.

    Raises:
        RunExistsError, SettingsError, LockedError, CheckpointError: as `train`.
    """
    configs = [one.config for one in planned]
    directories = [RunDirectory(one.out) for one in planned]
    for directory in directories:
        if directory.taken():
            raise RunExistsError(str(directory.path))
    # Members may share a seed. Of the seeds of what describes them all only the number counts.
    config = dataclasses.replace(configs[0], seeds=tuple(range(len(configs))))
    built = make(config, optimizer, seeds=[one.seeds[0] for one in configs])
    path = {"env_path": built.env.path, "env_path_reason": built.env.path_reason}
    with ExitStack() as held:
        held.enter_context(closed(built.env))
        check_optimizer(configs[0], optimizer, built.env)
        here = {**provenance(), **path, TRAINED_WITH: len(planned)}
        held.enter_context(_held(directories, options.notify))
        _say_path(built.env, options)
        for directory, one in zip(directories, planned, strict=True):
            own = {
                "population": list(one.config.seeds),
                **pace(one.config, optimizer, options.notify),
            }
            directory.create(to_dict(one.config), {**here, **own, **one.facts})
        session = _session(config, configs, built, optimizer, directories, options)
        with _closing(directories):
            state = start(configs, built, optimizer)
        return _run(session, state, Clock(), options)


def resume(
    config: RunConfig,
    optimizer: Optimizer,
    out: Path,
    options: Options = Options(),
    make: Build = build,
) -> list[Result]:
    """Go on with a run to its planned end, from the newest checkpoint that all its seeds have.

    JAX environments go on exactly. Simulators that cannot be saved start new games, from seeds
    derived of (seed, how often the run was resumed); all else is exact. A run that has no
    checkpoint yet starts over as it began.

    Raises:
        CheckpointError: no checkpoint can be used; each is named with the reason.
        LockedError: another process is at work there.
    """
    directories = [RunDirectory(path) for path in run_directories(config, out)]
    with _held(directories, options.notify), ExitStack() as held:
        found = newest_checkpoints(directories, config, options.notify)
        times = 1 + max(directory.times_resumed() for directory in directories)
        built = make(config, optimizer, times if found else 0)
        held.enter_context(closed(built.env))
        check_optimizer(config, optimizer, built.env)
        _say_path(built.env, options)
        session = _session(config, alone(config), built, optimizer, directories, options)
        with _closing(directories):
            state, clock = start(alone(config), built, optimizer), Clock()
        if found:
            state = with_checkpoints(state, found, built.env.rewindable)
            clock = Clock(found[0].iteration, wall_s_of(found[0]))
        exact = built.env.rewindable or not found
        games = "went on" if exact else f"new, from (seed, {times})"
        members = {TRAINED_WITH: len(directories)}
        note = {"iteration": clock.done, "time": time.time(), "games": games}
        note |= {**members, **provenance()}
        for i, member in enumerate(session.members):
            if found:
                member.restore(found[i])
            for lost in member.directory.rewind(clock.done):
                options.notify(lost)
            member.directory.resumed(note)
        if (why := unrepeatable()) is not None:
            options.notify(why)
        options.notify(f"going on from iteration {clock.done:,} of {config.num_iterations:,}")
        return _run(session, state, clock, options)


def _say_path(env: Environment, options: Options) -> None:
    if env.path == "host":
        options.notify(f"{env.env_id} is stepped from the host: {env.path_reason}")


def recorded_results(runs: Sequence[Recorded]) -> list[Result] | None:
    """How runs ended; None unless all of them have."""
    names = [field.name for field in dataclasses.fields(Result)]
    ended = []
    for run in runs:
        status = run.status or {}
        if status.get("status") not in ("completed", "diverged") or not set(names) <= set(status):
            return None
        ended.append(Result(**{name: status[name] for name in names}))
    return ended


@contextmanager
def _held(directories: Sequence[RunDirectory], notify: Callable[[str], None]) -> Iterator[None]:
    with ExitStack() as stack:
        for directory in directories:
            directory.path.mkdir(parents=True, exist_ok=True)
            taken_over = stack.enter_context(locked(directory.path))
            if taken_over:
                notify(f"{directory.path}: took over the lock of {taken_over}, which is gone")
        yield


def _session(
    config: RunConfig,
    configs: Sequence[RunConfig],
    built: Built,
    optimizer: Optimizer,
    directories: Sequence[RunDirectory],
    options: Options,
) -> Session:
    floor = config.diverged_score
    if floor is None:
        floor = random_score(config.env.id)
    evaluator, seeds = built.evaluator, [one.seeds[0] for one in configs]
    return Session(
        config=config,
        population=built.population,
        optimizer=optimizer,
        members=[
            Member(one, i, directory, floor)
            for i, (one, directory) in enumerate(zip(configs, directories, strict=True))
        ],
        evaluator=evaluator and functools.partial(evaluator, seeds=seeds),
        eval_params=built.eval_params,
        rewindable=built.env.rewindable,
        checkpoint_s=options.checkpoint_s,
        show=options.show,
        notify=options.notify,
    )


def _run(session: Session, state: TrainState, clock: Clock, options: Options) -> list[Result]:
    """Everything between an open directory and a closed one."""
    directories = [member.directory for member in session.members]
    with (
        _closing(directories),
        graceful(lambda: _close(directories, _INTERRUPTED)) as stop,
        _logged(session, options),
    ):
        begun = time.perf_counter()
        state = jax.block_until_ready(session.population.warm_up(state))
        compile_s = time.perf_counter() - begun
        stop.check()
        evaluate_if_due(session, state, clock)  # a run may have been killed just before it
        state = train_on(session, state, clock, stop)
        save(session, state, clock)
        if options.cost:
            _write_cost(session, state, clock, compile_s, options.notify)
    return [_finish(session, member, compile_s, clock) for member in session.members]


@contextmanager
def _closing(directories: Sequence[RunDirectory]) -> Iterator[None]:
    """Whatever ends the runs before their time is the reason in their status."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        _close(directories, _INTERRUPTED)
        raise
    except BaseException as error:
        fault = machine_fault(error)
        if isinstance(error, LockedError):
            raise  # the records are another's now
        reason = f"{type(error).__name__}: {error}".strip(": ")
        _close(directories, reason if fault is None else f"{INTERRUPTED}: {fault}")
        raise


def _close(directories: Sequence[RunDirectory], reason: str) -> None:
    for directory in directories:
        with suppress(OSError):  # the disk may be what failed
            directory.set_status("failed", reason)


@contextmanager
def _logged(session: Session, options: Options) -> Iterator[None]:
    """Lines go to the sinks as well while this lasts."""
    sinks = []
    for member in session.members:
        path, config = member.directory.path, to_dict(member.config)
        sinks.append(Sinks(options.log, path, config, options.notify))
        member.directory.also = sinks[-1].write
    try:
        yield
    finally:
        for sink in sinks:
            sink.close()


def _write_cost(
    session: Session,
    state: TrainState,
    clock: Clock,
    compile_s: float,
    notify: Callable[[str], None],
) -> None:
    cost = measure(
        session.config,
        session.optimizer,
        state.learner,
        iterations=clock.done,
        compile_s=compile_s,
        run_s=clock.wall_s,
        eval_s=clock.eval_s,
        notify=notify,
    )
    for member in session.members:
        member.directory.set_cost(dataclasses.asdict(cost))


def _finish(session: Session, member: Member, compile_s: float, clock: Clock) -> Result:
    metrics, config = member.metrics, session.config
    status: Status = "diverged" if metrics.diverged else "completed"
    env_steps = clock.done * config.ppo.batch_size
    result = Result(
        run_dir=str(member.directory.path),
        status=status,
        seed=member.config.seeds[0],
        env_steps=env_steps,
        gradient_steps=metrics.gradient_steps,
        final_return=member.floor if metrics.diverged else metrics.final_return(),
        eval_return=member.floor if metrics.diverged else member.eval_return,
        sps=env_steps * len(session.members) / clock.wall_s,
        compile_s=compile_s,
        diverged_at=metrics.diverged_at if metrics.diverged else None,
    )
    reason = f"non-finite or runaway at gradient step {metrics.diverged_at}"
    facts = dataclasses.asdict(result)
    del facts["status"]
    facts |= {"evaluated": session.evaluator is not None, "starved_steps": metrics.starved}
    member.directory.set_status(status, reason if metrics.diverged else None, **facts)
    return result
