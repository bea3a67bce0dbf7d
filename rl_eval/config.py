"""Static configuration and traced hyperparameters, in different types."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Literal

from rl_eval.envs.protocols import AtariOptions
from rl_eval.strict import STRICT

Activation = Literal["tanh", "relu"]
Torso = Literal["mlp", "minatar-cnn", "nature-cnn"]
ValueFed = Literal["total", "value", "policy+value"]
EnvPath = Literal["auto", "xla", "host"]
Policy = Literal["stochastic", "greedy"]
Setting = bool | int | float | str | None


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The actor-critic. `shared`: one torso for both heads; otherwise a torso each."""

    __pydantic_config__ = STRICT

    torso: Torso = "mlp"
    hidden_sizes: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    shared: bool = False


@dataclasses.dataclass(frozen=True)
class PPOConfig:
    """What decides shapes or structure, and so is compiled in."""

    __pydantic_config__ = STRICT

    num_envs: int
    """Environments stepped in parallel, per seed."""
    num_steps: int
    """Rollout length per environment."""
    update_epochs: int
    num_minibatches: int
    norm_adv: bool = True
    clip_vloss: bool = False
    optimizer_value: ValueFed = "total"
    """The loss handed to optimizers that ask for it (VeLO, Celo): all of it, or without entropy."""

    def __post_init__(self) -> None:
        for name in ("num_envs", "num_steps", "update_epochs", "num_minibatches"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.batch_size % self.num_minibatches:
            raise ValueError(
                f"num_minibatches={self.num_minibatches} does not divide "
                f"num_envs*num_steps = {self.num_envs}*{self.num_steps} = {self.batch_size}"
            )

    def check_minibatches(self) -> None:
        """Refuse minibatches from which nothing can be learned; runs that had them can be read.

        Raises:
            ValueError: one transition each, whose advantage is 0 once it is normalised.
        """
        if self.minibatch_size < self.min_valid:
            raise ValueError(
                f"num_minibatches={self.num_minibatches} leaves one of the num_envs*num_steps = "
                f"{self.batch_size} transitions in a minibatch, whose normalised advantage is 0: "
                "the policy would learn nothing; give fewer minibatches, or norm_adv=false"
            )

    @property
    def min_valid(self) -> int:
        """The fewest valid transitions in a minibatch from which a policy learns."""
        return 2 if self.norm_adv else 1

    @property
    def batch_size(self) -> int:
        """Env steps of one iteration."""
        return self.num_envs * self.num_steps

    @property
    def minibatch_size(self) -> int:
        return self.batch_size // self.num_minibatches

    @property
    def steps_per_iteration(self) -> int:
        """Gradient steps of one iteration."""
        return self.update_epochs * self.num_minibatches


@dataclasses.dataclass(frozen=True)
class PPOHparams:
    """What is only ever a number, and so is traced: changing one never recompiles."""

    __pydantic_config__ = STRICT

    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_eps: float = 0.2
    vf_coef: float = 0.5
    ent_coef: float = 0.01
    max_grad_norm: float | None = 0.5
    """Global norm; null switches clipping off."""
    target_kl: float | None = None
    """An epoch whose approx_kl exceeds this is the iteration's last; null never stops."""

    def __post_init__(self) -> None:
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
        for name in ("clip_eps", "max_grad_norm", "target_kl"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclasses.dataclass(frozen=True)
class EnvConfig:
    """Which environment, and how it is stepped. `atari` is set for Atari games only."""

    __pydantic_config__ = STRICT

    id: str
    path: EnvPath = "auto"
    atari: AtariOptions | None = None
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Arguments of the environment's constructor: what JSON can carry."""
    folder: str | None = dataclasses.field(default=None, compare=False)
    """Where the module of `module:id` was found; None for one that is installed."""

    def __post_init__(self) -> None:
        try:
            json.dumps(self.kwargs, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"env.kwargs: {error}") from None


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Whole games in environments and with keys of their own, apart from training."""

    __pydantic_config__ = STRICT

    every: int | None = None
    """Env steps between two evaluations, the last after the last iteration; null: none at all."""
    episodes: int = 128
    """Games per evaluation and seed: the same number in every environment."""
    policy: Policy = "stochastic"

    def __post_init__(self) -> None:
        for name in ("every", "episodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """A registered name or `module:attribute`, and every hyperparameter it has."""

    __pydantic_config__ = STRICT

    name: str
    hyperparameters: dict[str, Setting] = dataclasses.field(default_factory=dict)
    folder: str | None = dataclasses.field(default=None, compare=False)
    """Where the module of `module:attribute` was found; None for one that is installed."""


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that decides the numbers a run produces."""

    __pydantic_config__ = STRICT

    env: EnvConfig
    optimizer: OptimizerConfig
    total_timesteps: int
    """Env steps per seed, not Atari frames; rounded down to whole iterations."""
    network: NetworkConfig
    ppo: PPOConfig
    hparams: PPOHparams
    evaluation: EvaluationConfig = EvaluationConfig()
    seeds: tuple[int, ...] = (0,)
    log_every: int = 1
    """Iterations per line of metrics."""
    diverged_score: float | None = None
    """What a diverged seed scores; null: the random policy's score, where one is published."""

    def __post_init__(self) -> None:
        if self.num_iterations < 1:
            raise ValueError(
                f"total_timesteps={self.total_timesteps} is less than one iteration of "
                f"num_envs*num_steps = {self.ppo.batch_size} env steps"
            )
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be distinct and at least one, got {list(self.seeds)}")
        if min(self.seeds) < 0 or max(self.seeds) >= 2**31:
            raise ValueError(f"seeds must lie in 0 .. 2**31 - 1, got {list(self.seeds)}")
        if self.log_every < 1:
            raise ValueError(f"log_every must be at least 1, got {self.log_every}")

    @property
    def num_iterations(self) -> int:
        return self.total_timesteps // self.ppo.batch_size

    @property
    def num_gradient_steps(self) -> int:
        """The horizon an optimizer is built for."""
        return self.num_iterations * self.ppo.steps_per_iteration


def alone(config: RunConfig) -> list[RunConfig]:
    """The configuration of each seed as a run of its own."""
    return [dataclasses.replace(config, seeds=(seed,)) for seed in config.seeds]


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The plain JSON form that `rl_eval.settings.read` accepts.

    Without the fields that are younger than the oldest records where they say nothing.
    """
    values = dataclasses.asdict(config)
    for section, name in (("env", "kwargs"), ("env", "folder"), ("optimizer", "folder")):
        if not values[section][name]:
            del values[section][name]
    return values


def config_id(config: RunConfig, digits: int = 8) -> str:
    """Hexadecimal digits that are equal for equal configurations."""
    values = to_dict(config)
    for section in ("env", "optimizer"):
        values[section].pop("folder", None)
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
