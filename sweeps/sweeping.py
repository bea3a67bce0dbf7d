"""`sweeps.sweep`: how returns depend on hyperparameters, for one or many optimizers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizers import registry
from rl_eval.errors import MachineError
from rl_eval.records.lock import locked
from rl_eval.records.run import SCHEMA
from rl_eval.run.stop import Terminated
from rl_eval.settings import SettingsError, read
from rl_eval.setup.arguments import Number, Seeds, fitting, names_of, run_flags, seeds_of
from rl_eval.setup.configure import resolve
from rl_eval.setup.directories import refuse_taken
from rl_eval.setup.objects import Optimizer, named_all
from rl_eval.setup.optimizer import prepare
from rl_eval.setup.training import console_of
from rl_eval.setup.trust import Trust
from rl_eval.terminal import Console
from sweeps.calls import call_text, flags_given
from sweeps.execution.local import PATIENCE_S
from sweeps.executor import Tasks, Workers, workers_of
from sweeps.plan import (
    PLAN,
    Plan,
    document,
    extended,
    planned_in,
    repeated,
    space_values,
    trials_of,
    write,
)
from sweeps.running import run_remaining
from sweeps.space.designs import Design
from sweeps.space.space import make_space
from sweeps.study import Study, load_study
from sweeps.tasks.asha import ASHA
from sweeps.tasks.population import members_of
from sweeps.trials import Trial

PRESET = "sensitivity"
ONE_BY_ONE = "--prune stops members one by one: it needs --population 1"


@dataclasses.dataclass(frozen=True)
class Asked:
    """All that decides the trials of a sweep but their number and seeds; see `sweep`."""

    env: str | Iterable[str] | None = None
    optimizers: tuple[str, ...] = ("adamw",)
    preset: str | None = None
    space: str | Path | Mapping[str, Any] | None = None
    design: Design | None = None
    design_seed: int = 0
    learning_rate_name: str | None = None
    total_timesteps: Number | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    prune: str | None = None
    eval_every: Number | None = None
    eval_episodes: int | None = None

    def plan(self, trials: int | None, seeds: Seeds | None, command: str) -> Plan:
        """All that decides the trials.

        Raises:
            SettingsError: anything wrong with what was given.
        """
        if self.env is None:
            raise SettingsError("no environment: give --env (`rl-eval envs` lists them)")
        if self.prune not in (None, "asha"):
            raise SettingsError(f"prune {self.prune}: expected asha or nothing")
        preset = PRESET if self.preset is None and self.space is None else self.preset
        values, source = space_values(preset, self.space)
        if self.learning_rate_name is not None:
            values = {**values, "learning_rate_name": self.learning_rate_name}
        make_space(values, self.optimizers, source)  # its errors before those of configurations
        kwargs = {f"env.kwargs.{name}": value for name, value in self.env_kwargs.items()}
        bases = []
        for env in names_of(self.env):
            for name in self.optimizers:
                config, _ = resolve(
                    env=env,
                    optimizer=name,
                    flags=self._flags(),
                    settings={**fitting(self.settings, name, self.optimizers), **kwargs},
                )
                bases.append(prepare(config).config)
        return Plan(
            schema=SCHEMA,
            preset=preset,
            source=source,
            space=values,
            optimizers=self.optimizers,
            bases=tuple(bases),
            design=self.design,
            design_seed=self.design_seed,
            trials=trials,
            seeds=(0,) if seeds is None else seeds_of(seeds),
            commands=(command,),
            pruning=ASHA if self.prune else None,
        )

    def _flags(self) -> dict[str, Any]:
        flags = run_flags(self.total_timesteps, self.eval_every, self.eval_episodes)
        return {**flags, "seeds": [0]}

    @property
    def title(self) -> str:
        """Begins the default name of the directory."""
        if isinstance(self.space, str | Path):
            return Path(self.space).stem
        return self.preset or ("sweep" if self.space else PRESET)


def sweep(
    env: str | Iterable[str] | None = None,
    *,
    optimizers: Optimizer | Iterable[Optimizer] = "adamw",
    preset: str | None = None,
    space: str | Path | Mapping[str, Any] | None = None,
    trials: int | None = None,
    seeds: Seeds | None = None,
    design: Design | None = None,
    design_seed: int = 0,
    learning_rate_name: str | None = None,
    total_timesteps: Number | None = None,
    settings: Mapping[str, Any] | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    prune: str | None = None,
    eval_every: Number | None = None,
    eval_episodes: int | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    retry_failed: bool = False,
    trust_code: bool = False,
    population: int | str = "auto",
    workers: int | str | None = None,
    cpus: Number | None = None,
    gpus: Number | None = None,
    patience: Number = PATIENCE_S,
    progress: bool | Console = True,
    command: str | None = None,
) -> Study:
    """Run PPO at many points of a hyperparameter space, record every run, return the study.

    Args:
        env: environments, as a list or separated by commas.
        optimizers: names, `module:attribute`, or objects as `rl_eval.train` takes them.
        preset: a space that ships with the project (default `sensitivity`); space: one of your
            own, a YAML file or its contents.
        trials: points per environment and optimizer; with `resume`, to add some.
        seeds: how many (3 is 0, 1, 2) or which; default one; with `resume`, to add some.
        design: sobol, random, grid or latin-hypercube, instead of the space's own.
        learning_rate_name: the hyperparameter that is the learning rate, of optimizers that call
            it neither learning_rate nor lr.
        total_timesteps: env steps per run.
        settings: what does not vary, such as `{"num_envs": 32, "celo2.mult_1d": 20}`.
        env_kwargs: arguments of the environments' constructor.
        prune: `asha`, for tuning: weak runs stop early, and tables say so.
        eval_every, eval_episodes: env steps between evaluations, games per evaluation.
        out: directory. Default sweeps/<preset or file>-<time>.
        resume: directory of a sweep to go on with; what else is given has to agree with it.
        retry_failed: run what failed once more.
        trust_code: import what the directory names as `module:attribute`; else all of it has to
            be given here again.
        population: members that a worker trains together; `auto`: as many as are fastest.
        workers: `local` (a process a core or a GPU), a number of them, `here` (this process), or
            `ray` and the address of a cluster. Default: local, here for optimizers that are
            objects.
        cpus, gpus: of a Ray task. patience: silent seconds after which a worker hangs.
        progress: show a bar; or the rich console to show it on.
        command: recorded as what began the sweep; default this call.

    Raises:
        SettingsError: anything wrong with what was given; nothing was run then.
        KeyboardInterrupt: what ended is recorded; `resume` goes on.
    """
    command = command or call_text("sweeps.sweep", locals())
    console = console_of(progress)
    names, specs = named_all(optimizers)
    asked = Asked(
        env,
        names,
        preset,
        space,
        design,
        design_seed,
        learning_rate_name,
        total_timesteps,
        settings or {},
        env_kwargs or {},
        prune,
        eval_every,
        eval_episodes,
    )
    how = _How(workers, cpus, gpus, patience, population, retry_failed, console, trust_code)
    with registry.known(specs):
        if resume is not None:
            return _resumed(asked, Path(resume), trials, seeds, command, how)
        return _begun(asked, out, trials, seeds, command, how)


@dataclasses.dataclass(frozen=True)
class _How:
    """What does not change a sweep's numbers."""

    workers: int | str | None
    cpus: Number | None
    gpus: Number | None
    patience: Number
    population: int | str
    retry_failed: bool
    console: Console
    trust_code: bool

    def place(self, optimizers: Sequence[str], pruned: bool) -> tuple[Workers, int | None]:
        """Where the runs go, and how many members train together there."""
        workers = workers_of(self.workers, self.cpus, self.gpus, self.patience, optimizers)
        population = members_of(self.population)
        if (population or 1) > 1 and isinstance(workers.place, Tasks):
            raise SettingsError("--population is for local workers; a Ray task trains one member")
        if (population or 1) > 1 and pruned:
            raise SettingsError(ONE_BY_ONE)
        return workers, 1 if pruned else population


def _begun(
    asked: Asked,
    out: str | Path | None,
    trials: int | None,
    seeds: Seeds | None,
    command: str,
    how: _How,
) -> Study:
    place = how.place(asked.optimizers, asked.prune is not None)
    plan = asked.plan(trials, seeds, command)
    if asked.preset is None and asked.space is None:
        how.console.print(f"the space is the preset {PRESET}", highlight=False)
    folder = Path(out or Path("sweeps") / f"{asked.title}-{time.strftime('%Y%m%d-%H%M%S')}")
    planned = trials_of(plan)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        refuse_taken(folder, "sweep.json", "sweep", beside=PLAN)
        write(folder, plan, planned)
        if said := repeated(plan, planned):
            how.console.print(said, highlight=False, soft_wrap=True)
        return _run(folder, plan, planned, place, how)


def _resumed(
    asked: Asked,
    folder: Path,
    trials: int | None,
    seeds: Seeds | None,
    command: str,
    how: _How,
) -> Study:
    if not folder.is_dir():
        raise SettingsError(f"--resume {folder}: there is no such directory")
    envs = () if asked.env is None else names_of(asked.env)
    trust = Trust.of((*envs, *asked.optimizers), how.trust_code)
    with locked(folder):
        if asked != Asked():
            _check_same(asked, folder)
        more = None if seeds is None else seeds_of(seeds)
        plan, planned = extended(folder, more, trials, command, trust)
        place = how.place(plan.optimizers, plan.pruning is not None)
        return _run(folder, plan, planned, place, how)


def _check_same(asked: Asked, folder: Path) -> None:
    """What is given beside `resume` has to say what the sweep's own record says.

    Raises:
        SettingsError: something differs.
    """
    old = planned_in(folder)
    try:
        new = dataclasses.replace(asked.plan(old.trials, old.seeds, ""), commands=old.commands)
        same = read(Plan, document(new), PLAN) == old  # as it is read from a file
    except ValueError:
        same = False
    if not same:
        raise SettingsError(
            f"{flags_given(asked, Asked())} cannot go with --resume: a sweep keeps its "
            "configuration; leave them out"
        )


def _run(
    folder: Path,
    plan: Plan,
    trials: Sequence[Trial],
    place: tuple[Workers, int | None],
    how: _How,
) -> Study:
    workers, population = place
    shared = "--prune needs the directory of the sweep on every node" if plan.pruning else None
    try:
        run_remaining(
            folder,
            trials,
            plan.seeds,
            workers,
            how.console,
            title=str(folder),
            population=population,
            retry_failed=how.retry_failed,
            must_share=shared,
        )
    except (KeyboardInterrupt, Terminated, MachineError, OSError):
        text = f"rl-eval sweep --resume {folder} goes on"
        how.console.print(text, highlight=False, soft_wrap=True, markup=False)
        raise
    return load_study(folder)
