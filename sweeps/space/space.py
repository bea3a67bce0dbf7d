"""Search spaces: which hyperparameters vary and over what, from YAML that is read strictly.

design: sobol              # or random, latin-hypercube, grid
trials: 64                 # per optimizer and environment; a grid has its own number
ppo:                       # shared: every optimizer faces the same points
  gamma: {choice: [0.95, 0.99, 0.999]}
  ent_coef: {log_uniform: [1e-4, 1e-1]}
  update_epochs: {int: [1, 8]}
optimizer:                 # for each optimizer that has it
  learning_rate: default   # the domain of the optimizer's own spec; `lr` means the same
  mult_1d: default
# learning_rate_name: peak   # the learning rate of optimizers that call it neither of these
optimizers:                # for one optimizer, before what `optimizer` says
  adamw: {b1: {uniform: [0.8, 0.95]}, schedule: {fixed: cosine}}
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from optimizers import registry
from optimizers.spec import LEARNING_RATES, Choice, Domain, OptimizerSpec
from rl_eval.config import PPOConfig, PPOHparams
from rl_eval.settings import SettingsError, near, read, read_file
from rl_eval.stats.values import distinct
from rl_eval.strict import STRICT
from sweeps.space.designs import Design
from sweeps.space.domains import Integers, SearchDomain, parse_domain

Section = Literal["hparams", "ppo", "optimizer"]

_HPARAMS = tuple(f.name for f in dataclasses.fields(PPOHparams))
_STATIC = tuple(f.name for f in dataclasses.fields(PPOConfig))
_SMALLEST = {"num_envs": 1, "num_steps": 1, "update_epochs": 1, "num_minibatches": 1}
_HELP = {
    "gamma": "discount per agent step",
    "gae_lambda": "decay of advantage estimates",
    "clip_eps": "clipping of the policy ratio",
    "ent_coef": "weight of the entropy bonus",
    "vf_coef": "weight of the value loss",
    "max_grad_norm": "clipping of the global norm",
    "num_envs": "environments in parallel",
    "num_steps": "agent steps per rollout",
    "update_epochs": "passes over a rollout",
    "num_minibatches": "gradient steps per pass",
}
# YAML 1.1 takes a number without a point, such as 1e-4, for text.
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


@dataclasses.dataclass(frozen=True)
class Axis:
    """One hyperparameter that varies: its section of a `RunConfig`, its name, its domain."""

    section: Section
    name: str
    domain: SearchDomain
    help: str = ""

    @property
    def key(self) -> str:
        """Unique within a space: an optimizer may have a `gamma` of its own."""
        return f"{self.section}.{self.name}"


@dataclasses.dataclass(frozen=True)
class Space:
    """`ppo` is shared; `own` has the axes of each optimizer of the sweep, by its name."""

    ppo: tuple[Axis, ...]
    own: Mapping[str, tuple[Axis, ...]]
    design: Design = "sobol"
    trials: int | None = None
    points: int = 5
    """Points of a continuous domain in a grid."""
    description: str = ""
    learning_rates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By optimizer: what its learning rate is called, where it has one."""

    def axes(self, optimizer: str) -> tuple[Axis, ...]:
        """PPO's axes first, so that they take the same columns of a design for all optimizers."""
        return self.ppo + self.own[optimizer]


@dataclasses.dataclass(frozen=True)
class _File:
    __pydantic_config__ = STRICT

    description: str = ""
    design: Design = "sobol"
    trials: int | None = None
    points: int = 5
    learning_rate_name: str | None = None
    """The hyperparameter that is the learning rate of optimizers that call it so."""
    ppo: dict[str, Any] = dataclasses.field(default_factory=dict)
    optimizer: dict[str, Any] = dataclasses.field(default_factory=dict)
    optimizers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("points", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")


def read_space(path: Path, optimizers: Sequence[str]) -> Space:
    """The space of a YAML file for the optimizers of a sweep.

    Raises:
        SettingsError: anything wrong with the file, in one line.
    """
    return make_space(read_file(path), optimizers, str(path))


def make_space(values: Mapping[str, Any], optimizers: Sequence[str], source: str) -> Space:
    """The space that plain values describe; `source` begins every error.

    Raises:
        SettingsError: an unknown key, optimizer or hyperparameter, a domain that does not fit it.
    """
    file = read(_File, _numbers(values), source)
    specs = {name: _spec(name, source) for name in (*optimizers, *file.optimizers)}
    specs = _with_rates(specs, file.learning_rate_name, source)
    _refuse_unknown(file, specs.values(), source)
    try:
        ppo = tuple(_ppo_axis(n, file.ppo[n]) for n in (*_HPARAMS, *_STATIC) if n in file.ppo)
        own = {name: _own_axes(name, spec, file) for name, spec in specs.items()}
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from None
    if not ppo and not any(own.values()):
        hint = "give ppo, optimizer or optimizers"
        if set(LEARNING_RATES) & set(file.optimizer):
            hint = f"{', '.join(specs)} has no learning rate; learning_rate_name says which it is"
        raise SettingsError(f"{source}: nothing varies; {hint}")
    wanted = {name: own[name] for name in optimizers}
    rates = {name: specs[name].learning_rate for name in optimizers}
    return Space(
        ppo,
        wanted,
        file.design,
        file.trials,
        file.points,
        file.description,
        {name: rate for name, rate in rates.items() if rate is not None},
    )


def _with_rates(
    specs: Mapping[str, OptimizerSpec], rate: str | None, source: str
) -> dict[str, OptimizerSpec]:
    """The specs, with that hyperparameter as the learning rate of those that have it."""
    if rate is None:
        return dict(specs)
    known = {name: {h.name for h in spec.hyperparameters} for name, spec in specs.items()}
    if not any(rate in names for names in known.values()):
        hint = near(rate, set().union(*known.values()))
        raise SettingsError(f"{source}: no optimizer has the learning rate {rate}; {hint}")
    try:
        return {
            name: spec.with_learning_rate(rate if rate in known[name] else None)
            for name, spec in specs.items()
        }
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from None


def _numbers(value: Any) -> Any:
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value


def _spec(name: str, source: str) -> OptimizerSpec:
    try:
        return registry.get(name)
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from None


def _refuse_unknown(file: _File, specs: Iterable[OptimizerSpec], source: str) -> None:
    somewhere = {h.name for s in (*registry.BUILT_IN, *specs) for h in s.hyperparameters}
    somewhere |= set(LEARNING_RATES)
    for section, given, known in (
        ("ppo", file.ppo, {*_HPARAMS, *_STATIC}),
        ("optimizer", file.optimizer, somewhere),
    ):
        for name in given:
            if name not in known:
                raise SettingsError(f"{source}: unknown key {section}.{name}; {near(name, known)}")


def _own_axes(name: str, spec: OptimizerSpec, file: _File) -> tuple[Axis, ...]:
    known = [h.name for h in spec.hyperparameters]
    own = file.optimizers.get(name, {})
    for unknown in (n for n in own if spec.canonical(n) not in known):
        raise ValueError(f"unknown key optimizers.{name}.{unknown}; {near(unknown, known)}")
    wanted = {spec.canonical(n): (f"optimizer.{n}", v) for n, v in file.optimizer.items()}
    wanted |= {spec.canonical(n): (f"optimizers.{name}.{n}", v) for n, v in own.items()}

    def axis(h: Any) -> Axis:
        where, value = wanted[h.name]

        def convert(given: Any) -> Any:
            return spec.resolve({h.name: given})[h.name]

        return Axis("optimizer", h.name, _fit(where, value, h.domain, convert, h.traced), h.help)

    return tuple(axis(h) for h in spec.hyperparameters if h.name in wanted)


def _ppo_axis(name: str, value: Any) -> Axis:
    def convert(given: Any) -> Any:
        if name in _HPARAMS:
            return getattr(read(PPOHparams, {name: given}, "value"), name)
        fitting = {"num_envs": given} if name == "num_minibatches" else {}
        return getattr(read(PPOConfig, {**_SMALLEST, **fitting, name: given}, "value"), name)

    traced = name in _HPARAMS
    domain = _fit(f"ppo.{name}", value, None, convert, traced)
    return Axis("hparams" if traced else "ppo", name, domain, _HELP.get(name, ""))


def _fit(
    where: str,
    value: Any,
    default: Domain | None,
    convert: Callable[[Any], Any],
    traced: bool,
) -> SearchDomain:
    """The domain that `value` describes, with values that the hyperparameter accepts.

    `convert` gives a value the hyperparameter's type, or raises ValueError.
    """
    try:
        if value == "default":
            if default is None:
                raise ValueError("there is no default domain; give one")
            return default
        domain = parse_domain(value)
        if isinstance(domain, Choice):
            values = tuple(map(convert, domain.values))
            if len(distinct(values)) < len(values):
                raise ValueError(f"choice has values that are one to it: {list(domain.values)}")
            return Choice(values)
        if not traced and not isinstance(domain, Integers):
            raise ValueError("it is compiled in, so its values must be listed: int, choice, fixed")
        convert(domain.low), convert(domain.high)
        return domain
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
