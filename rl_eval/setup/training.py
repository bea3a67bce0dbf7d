"""`rl_eval.train`: a run from the arguments of a person, begun or resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from optimizers import registry
from rl_eval.config import EnvPath, RunConfig, Setting, to_dict
from rl_eval.reading import read_population
from rl_eval.records.run import RunExistsError
from rl_eval.run import runner, sinks
from rl_eval.run.display import live
from rl_eval.run.view import Run, load
from rl_eval.settings import SettingsError
from rl_eval.setup.arguments import Number, Seeds, run_flags, seeds_of
from rl_eval.setup.configure import resolve
from rl_eval.setup.directories import default_name, remove_runs, rerun_command
from rl_eval.setup.objects import Optimizer, named
from rl_eval.setup.optimizer import prepare
from rl_eval.setup.trust import Trust
from rl_eval.setup.weights import recorded_weights
from rl_eval.terminal import Console

PathLike = str | Path


@dataclasses.dataclass(frozen=True)
class Asked:
    """All that decides the numbers of a run, as a person gives it; None: the default.

    hyperparameters: the optimizer's. settings: PPO's, the network's and all else that
        `--set key=value` takes; the key may leave its section out.
    config: a TOML, YAML or JSON file beneath all of these.
    """

    env: str | None = None
    optimizer: str | None = None
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seeds: Seeds | None = None
    total_timesteps: Number | None = None
    config: Path | None = None
    protocol: str | None = None
    env_path: EnvPath | None = None
    eval_every: Number | None = None
    eval_episodes: int | None = None

    def resolved(self, beneath: Path | None = None, trust_code: bool = False) -> RunConfig:
        """The full configuration; `beneath`: a file instead of `config`."""
        flags = run_flags(self.total_timesteps, self.eval_every, self.eval_episodes)
        if self.seeds is not None:
            flags["seeds"] = seeds_of(self.seeds)
        if self.env_path is not None:
            flags["env"] = {"path": self.env_path}
        own = {f"optimizer.{name}": value for name, value in self.hyperparameters.items()}
        own |= {f"env.kwargs.{name}": value for name, value in self.env_kwargs.items()}
        return resolve(
            env=self.env,
            optimizer=self.optimizer,
            flags=flags,
            settings={**self.settings, **own},
            file=beneath or self.config,
            atari_protocol=self.protocol,
            trust_code=trust_code,
        )[0]


def train(
    env: str | None = None,
    *,
    optimizer: Optimizer | None = None,
    hyperparameters: Mapping[str, Setting] | None = None,
    settings: Mapping[str, Any] | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    seeds: Seeds | None = None,
    total_timesteps: Number | None = None,
    config: PathLike | None = None,
    protocol: str | None = None,
    env_path: Literal["auto", "xla", "host"] | None = None,
    eval_every: Number | None = None,
    eval_episodes: int | None = None,
    out: PathLike | None = None,
    resume: PathLike | None = None,
    overwrite: bool = False,
    checkpoint_seconds: Number | None = None,
    log: str | Sequence[str] = (),
    cost: bool = True,
    trust_code: bool = False,
    progress: bool | Console = True,
) -> Run:
    """Train PPO with an optimizer, record the run and return it.

    Args:
        env: environment id (`rl-eval envs` lists them).
        optimizer: registered name, `module:attribute`, or what that would name: an optax
            transformation, a function of `num_steps` that makes one, an OptimizerSpec.
        hyperparameters: the optimizer's own.
        settings: any of PPO, network, evaluation or environment, such as `{"num_envs": 32}`.
        env_kwargs: arguments of the environment's constructor.
        seeds: how many (3 is 0, 1, 2) or which; trained together as one population.
        total_timesteps: env steps per seed; Atari frames are 4 times as many.
        config: TOML, YAML or JSON file; RUN/config.json repeats that run.
        protocol: of Atari.
        env_path: how envpool is stepped: inside the jitted rollout or from the host.
        eval_every: env steps between evaluations on whole games; None: none.
        eval_episodes: games per evaluation.
        out: run directory. Default runs/<env>-<optimizer>-<id>.
        resume: directory of a run to go on with to its planned end. What else is given has to
            agree with what that run began with.
        overwrite: delete the run that is in the way.
        checkpoint_seconds: default: as often as takes 2 % of the time.
        log: `tensorboard`, `wandb` or both, which are written to as well.
        cost: time the optimizer alone at the end.
        trust_code: import what `config` or `resume` names as `module:attribute`; else that has to
            be given here again.
        progress: show a bar; or the rich console to show it on.

    Raises:
        SettingsError: anything wrong with what was given; nothing was written then.
        RecordError, CheckpointError, LockedError, WeightsError: as their messages say.
        KeyboardInterrupt: after the run was saved; `resume` goes on with it.
    """
    name, specs = (None, {}) if optimizer is None else named(optimizer)
    asked = Asked(
        env=env,
        optimizer=name,
        hyperparameters=hyperparameters or {},
        settings=settings or {},
        env_kwargs=env_kwargs or {},
        seeds=seeds,
        total_timesteps=total_timesteps,
        config=None if config is None else Path(config),
        protocol=protocol,
        env_path=env_path,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
    )
    how = How(checkpoint_seconds, _names(log), cost, console_of(progress), trust_code)
    if resume is not None and (overwrite or out is not None):
        raise SettingsError("--resume goes on in its own directory: no --out, no --overwrite")
    with registry.known(specs):
        if resume is not None:
            return _resumed(asked, Path(resume), how)
        return _begun(asked, None if out is None else Path(out), overwrite, how)


@dataclasses.dataclass(frozen=True)
class How:
    """What does not change a run's numbers; see `train`."""

    checkpoint_seconds: Number | None
    log: tuple[str, ...]
    cost: bool
    console: Console
    trust_code: bool

    def __post_init__(self) -> None:
        sinks.check(self.log)

    def say(self, message: str) -> None:
        self.console.print(message, highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def options(self, config: RunConfig) -> Iterator[runner.Options]:
        """For the runner, with a live display."""
        with live(self.console, f"{config.env.id} {config.optimizer.name}") as show:
            yield runner.Options(self.checkpoint_seconds, self.log, self.cost, show, self.say)


def _begun(asked: Asked, out: Path | None, overwrite: bool, how: How) -> Run:
    ready = prepare(asked.resolved(trust_code=how.trust_code), recorded_weights(asked.config))
    config = ready.config
    out = out or Path("runs") / default_name(config)
    if overwrite:
        remove_runs(runner.run_directories(config, out))
    facts = {"rerun": rerun_command(out, config), **ready.facts}
    with how.options(config) as options:
        try:
            runner.train(config, ready.optimizer, out, facts, options)
        except RunExistsError as error:
            raise SettingsError(
                f"{error} holds a run already: `rl-eval train --resume {out}` goes on with it; "
                "give another --out for a new one, or --overwrite to replace it"
            ) from None
    return load(out)


def _resumed(asked: Asked, out: Path, how: How) -> Run:
    """Go on with a run, or say that it has ended."""
    runs = read_population(out)
    seeds = tuple(run.config.seeds[0] for run in runs)
    config = dataclasses.replace(runs[0].config, seeds=seeds)
    file = runs[0].path / "config.json"
    Trust.of((asked.env, asked.optimizer), how.trust_code).check(config, file)
    if asked != Asked():
        _check_same(asked, config, file)
    ready = prepare(config, runs[0].provenance.get("weights"))
    if runner.recorded_results(runs) is None:
        with how.options(config) as options:
            runner.resume(ready.config, ready.optimizer, out, options)
    else:
        how.say(f"{out} has ended; there is nothing left to do")
    return load(out)


def _check_same(asked: Asked, config: RunConfig, file: Path) -> None:
    """What is given beside `resume` has to say what the run's own record says.

    Raises:
        SettingsError: something differs.
    """
    if asked.config is not None:
        raise SettingsError("--config cannot go with --resume: a run keeps its configuration")
    again = asked.resolved(beneath=file, trust_code=True)  # what it names was asked for
    if asked.seeds is None:
        again = dataclasses.replace(again, seeds=config.seeds)
    then, now = _flat(to_dict(config)), _flat(to_dict(again))
    for key in dict.fromkeys([*then, *now]):
        if then.get(key) != now.get(key):
            raise SettingsError(
                f"--resume: {key} was {then.get(key)} when this run began and is now "
                f"{now.get(key)}; a run keeps its configuration"
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, Mapping)
        found |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


def _names(log: str | Sequence[str]) -> tuple[str, ...]:
    parts = log.split(",") if isinstance(log, str) else log
    return tuple(name.strip() for name in parts if name.strip())


def console_of(progress: bool | Console) -> Console:
    """Where progress is shown: standard error, nowhere, or the console that was given."""
    return Console(stderr=True, quiet=not progress) if isinstance(progress, bool) else progress
