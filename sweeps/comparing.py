"""`sweeps.compare`: several optimizers in several environments, on the same seeds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optimizers import registry
from rl_eval.config import RunConfig, to_dict
from rl_eval.envs.suites import suite
from rl_eval.errors import MachineError
from rl_eval.records.comparison import FILE, CompareRecord, read_compare, write_compare
from rl_eval.records.lock import locked
from rl_eval.records.run import SCHEMA
from rl_eval.records.scored import Objective
from rl_eval.report.comparison.scores import Comparison as Scores
from rl_eval.report.comparison.scores import read_comparison
from rl_eval.run.stop import Terminated
from rl_eval.settings import SettingsError, read
from rl_eval.setup.arguments import Number, Seeds, fitting, names_of, run_flags, seeds_of
from rl_eval.setup.configure import resolve
from rl_eval.setup.directories import refuse_taken
from rl_eval.setup.modules import found_again
from rl_eval.setup.objects import Optimizer, named, named_all
from rl_eval.setup.optimizer import prepare
from rl_eval.setup.training import console_of
from rl_eval.setup.trust import Trust
from rl_eval.terminal import Console
from sweeps.calls import call_text, flags_given
from sweeps.comparison.plan import check_alike, configurations, evaluated, make_tuning
from sweeps.comparison.run import run_all
from sweeps.execution.local import PATIENCE_S
from sweeps.executor import Workers, workers_of

SEEDS = 5
TUNING_SEEDS = 3


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison on disk. `path`: its directory; `scores`: its records, as arrays."""

    path: Path
    scores: Scores

    def report(self, out: str | Path | None = None) -> Path:
        """Write the page and its figures, and return the page. Default: in its own directory."""
        from rl_eval.report.comparison.page import render

        return render(self.scores, Path(out or self.path / "report"))[0]

    def __repr__(self) -> str:
        record = self.scores.record
        return (
            f"Comparison({', '.join(record.optimizers)} on {', '.join(record.envs)}, "
            f"{len(record.seeds)} seeds, {str(self.path)!r})"
        )


@dataclasses.dataclass(frozen=True)
class Asked:
    """All that decides the runs of a comparison but its seeds; see `compare`."""

    env: str | Iterable[str] | None = None
    optimizers: tuple[str, ...] = ()
    baseline: str | None = None
    total_timesteps: Number | None = None
    tune: str | Iterable[str] | None = None
    tuning_seeds: int | None = None
    learning_rate_name: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    eval_every: Number | None = None
    eval_episodes: int | None = None

    def record(self, seeds: tuple[int, ...], command: str) -> CompareRecord:
        """All that decides the runs.

        Raises:
            SettingsError: anything wrong with it, in one line.
        """
        envs = self._envs()
        optimizers = self.optimizers
        if len(optimizers) < 2:
            raise SettingsError("a comparison needs two: give --optimizers NAME,NAME")
        first = "adamw" if "adamw" in optimizers else optimizers[0]
        baseline = self.baseline or first
        if baseline not in optimizers:
            listed = ", ".join(optimizers)
            raise SettingsError(f"--baseline {baseline} is not one of the optimizers, {listed}")
        bases: list[RunConfig] = []
        for env in envs:
            found = [self._base(env, name, optimizers) for name in optimizers]
            check_alike(found)
            bases += found
        tuning = None
        if self.tune is not None:
            count = TUNING_SEEDS if self.tuning_seeds is None else self.tuning_seeds
            wanted = ",".join(names_of(self.tune))
            tuning = make_tuning(wanted, optimizers, seeds, count, self.learning_rate_name)
        elif self.tuning_seeds is not None:
            raise SettingsError("--tuning-seeds goes with --tune")
        return CompareRecord(
            schema=SCHEMA,
            suite=self.env if isinstance(self.env, str) and envs != names_of(self.env) else None,
            envs=envs,
            optimizers=optimizers,
            baseline=baseline,
            seeds=seeds,
            tuning=tuning,
            bases=tuple(map(to_dict, bases)),
            commands=(command,),
        )

    def _envs(self) -> tuple[str, ...]:
        if self.env is None:
            raise SettingsError("give one of --env and --suite (`rl-eval envs` lists them)")
        try:
            return suite(self.env if isinstance(self.env, str) else ",".join(self.env))
        except ValueError as error:
            raise SettingsError(str(error)) from None

    def _base(self, env: str, name: str, optimizers: tuple[str, ...]) -> RunConfig:
        """An optimizer's configuration in an environment, its weights pinned."""
        flags = run_flags(self.total_timesteps, self.eval_every, self.eval_episodes)
        flags["seeds"] = [0]
        own = fitting(self.settings, name, optimizers)
        own |= {f"env.kwargs.{key}": value for key, value in self.env_kwargs.items()}
        config, _ = resolve(env=env, optimizer=name, flags=flags, settings=own)
        return prepare(evaluated(config)).config


def compare(
    env: str | Iterable[str] | None = None,
    *,
    optimizers: Optimizer | Iterable[Optimizer] | None = None,
    baseline: Optimizer | None = None,
    seeds: Seeds | None = None,
    total_timesteps: Number | None = None,
    tune: str | Iterable[str] | None = None,
    tuning_seeds: int | None = None,
    learning_rate_name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    eval_every: Number | None = None,
    eval_episodes: int | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    retry_failed: bool = False,
    trust_code: bool = False,
    cost: bool = True,
    workers: int | str | None = None,
    cpus: Number | None = None,
    gpus: Number | None = None,
    patience: Number = PATIENCE_S,
    progress: bool | Console = True,
    command: str | None = None,
) -> Comparison:
    """Train every optimizer on the same seeds, record every run, return the comparison.

    Args:
        env: a suite such as `minatar-4`, or environments, as a list or separated by commas.
        optimizers: two or more names, `module:attribute`, or objects as `rl_eval.train` takes them.
        baseline: what the others are held against. Default adamw, or else the first.
        seeds: how many (5 is 0, 1, 2, 3, 4, the default) or which; with `resume`, to add some.
        total_timesteps: env steps per run.
        tune: hyperparameters to choose first (`lr`), on other seeds than are reported.
        tuning_seeds: runs per value while tuning; default 3.
        learning_rate_name: as `sweeps.sweep`.
        settings: such as `{"num_envs": 32, "celo2.mult_1d": 20}`.
        env_kwargs: arguments of the environments' constructor.
        eval_every: env steps between evaluations; default a tenth of the run.
        eval_episodes: games per evaluation.
        out: directory. Default comparisons/<time>.
        resume: directory of a comparison to go on with; what else is given has to agree with it.
        retry_failed: run what failed once more.
        trust_code: as `sweeps.sweep`.
        cost: measure what each optimizer costs, after the runs.
        workers, cpus, gpus, patience, progress, command: as `sweeps.sweep`.

    Raises:
        SettingsError: anything wrong with what was given; nothing was run then.
        KeyboardInterrupt: what ended is recorded; `resume` goes on.
    """
    command = command or call_text("sweeps.compare", locals())
    console = console_of(progress)
    names, specs = ((), {}) if optimizers is None else named_all(optimizers)
    asked = Asked(
        env,
        names,
        None if baseline is None else named(baseline)[0],
        total_timesteps,
        tune,
        tuning_seeds,
        learning_rate_name,
        settings or {},
        env_kwargs or {},
        eval_every,
        eval_episodes,
    )
    how = _How(workers, cpus, gpus, patience, retry_failed, cost, console, trust_code)
    with registry.known(specs):
        if resume is not None:
            return _resumed(asked, Path(resume), seeds, command, how)
        return _begun(asked, out, seeds, command, how)


@dataclasses.dataclass(frozen=True)
class _How:
    """What does not change a comparison's numbers."""

    workers: int | str | None
    cpus: Number | None
    gpus: Number | None
    patience: Number
    retry_failed: bool
    cost: bool
    console: Console
    trust_code: bool

    def workers_for(self, record: CompareRecord) -> Workers:
        return workers_of(self.workers, self.cpus, self.gpus, self.patience, record.optimizers)


def _begun(
    asked: Asked, out: str | Path | None, seeds: Seeds | None, command: str, how: _How
) -> Comparison:
    record = asked.record(seeds_of(SEEDS if seeds is None else seeds), command)
    workers = how.workers_for(record)
    folder = Path(out or Path("comparisons") / time.strftime("%Y%m%d-%H%M%S"))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        refuse_taken(folder, FILE, "compare")
        write_compare(folder, record)
        return _run(folder, record, workers, how)


def _resumed(
    asked: Asked, folder: Path, seeds: Seeds | None, command: str, how: _How
) -> Comparison:
    if not folder.is_dir():
        raise SettingsError(f"--resume {folder}: there is no such directory")
    with locked(folder):
        record = _extended(asked, folder, seeds, command, how.trust_code)
        return _run(folder, record, how.workers_for(record), how)


def _run(folder: Path, record: CompareRecord, workers: Workers, how: _How) -> Comparison:
    console = how.console
    console.print(str(folder), highlight=False, soft_wrap=True, markup=False)
    try:
        run_all(folder, record, workers, console, retry_failed=how.retry_failed, cost=how.cost)
    except (KeyboardInterrupt, Terminated, MachineError, OSError):
        text = f"rl-eval compare --resume {folder} goes on"
        console.print(text, highlight=False, soft_wrap=True, markup=False)
        raise
    return load_comparison(folder)


def load_comparison(path: str | Path, objective: Objective = "final") -> Comparison:
    """The comparison in a directory, finished or not.

    Raises:
        RecordError: none is there, or nothing of it but tuning.
    """
    return Comparison(Path(path), read_comparison(Path(path), objective))


def _extended(
    asked: Asked, folder: Path, seeds: Seeds | None, command: str, trust_code: bool
) -> CompareRecord:
    """The record of a directory, with more seeds where asked for; written if changed.

    Raises:
        SettingsError: it names code that is not trusted, or is not what was asked for.
    """
    old = read_compare(folder)
    envs = () if asked.env is None else names_of(asked.env)
    trust = Trust.of((*envs, *asked.optimizers), trust_code)
    for _, _, base in configurations(old):
        trust.check(base, folder / FILE)
        found_again(base)
    if asked != Asked():
        _check_same(asked, old, folder)
    added = () if seeds is None else seeds_of(seeds)
    more = tuple(dict.fromkeys((*old.seeds, *added)))
    if more == old.seeds:
        return old
    try:
        new = dataclasses.replace(old, seeds=more, commands=(*old.commands, command))
    except ValueError as error:
        raise SettingsError(f"--seeds {seeds}: {error}") from None
    write_compare(folder, new)
    return new


def _check_same(asked: Asked, old: CompareRecord, folder: Path) -> None:
    """What is given beside `resume` has to say what the comparison's own record says.

    Raises:
        SettingsError: something differs.
    """
    try:
        said = dataclasses.replace(asked.record(old.seeds, ""), commands=old.commands)
        new = read(CompareRecord, dataclasses.asdict(said), FILE)  # as it is read from a file
    except ValueError:
        new = None
    if new != old:
        raise SettingsError(
            f"{flags_given(asked, Asked())} cannot change with --resume: {folder} keeps what it "
            "began with; leave them out"
        )
