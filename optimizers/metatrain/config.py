"""Everything that decides the outcome of a meta-training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from optimizers.metatrain.tasks import data


@dataclasses.dataclass(frozen=True)
class Unroll:
    """How inner problems are run. Lengths are in inner steps.

    Attributes:
        particles: antithetic pairs per task.
        truncation: inner steps between two meta-gradients.
        shortest: least length of a whole unroll; log-uniform, rounded to whole truncations.
        longest: greatest length of a whole unroll.
        narrowest: least reparametrisation factor; log-uniform.
        widest: greatest reparametrisation factor.
        sigma: standard deviation of the perturbations of theta.
        linear_decay: let the inner step size fall linearly to zero over an unroll.
    """

    particles: int = 4
    truncation: int = 50
    shortest: int = 100
    longest: int = 1000
    narrowest: float = 1e-2
    widest: float = 1e2
    sigma: float = 0.01
    linear_decay: bool = False

    def __post_init__(self) -> None:
        if self.particles < 1 or self.truncation < 1 or self.sigma <= 0:
            raise ValueError(f"particles, truncation and sigma must be positive, got {self}")
        if not 0 < self.shortest <= self.longest:
            raise ValueError(f"need 0 < shortest <= longest, got {self.shortest}, {self.longest}")
        if not 0 < self.narrowest <= self.widest:
            raise ValueError(f"need 0 < narrowest <= widest, got {self.narrowest}, {self.widest}")


@dataclasses.dataclass(frozen=True)
class Outer:
    """How theta is trained: AdamW, linear warm-up, cosine decay over all iterations.

    Attributes:
        learning_rate: peak.
        warmup: iterations from 0 to the peak.
        final_fraction: of the peak, at the last iteration.
        b1: decay of the first moment.
        b2: decay of the second moment.
        weight_decay: decoupled.
        clip_ratio: a task's gradient is shortened to this many times its usual norm.
        clip_decay: of the running mean of that norm, per iteration.
        balance: divide each task's gradient by its usual norm, so that tasks of low loss count too.
    """

    learning_rate: float = 1e-3
    warmup: int = 50
    final_fraction: float = 0.05
    b1: float = 0.9
    b2: float = 0.99
    weight_decay: float = 0.0
    clip_ratio: float = 3.0
    clip_decay: float = 0.95
    balance: bool = False


@dataclasses.dataclass(frozen=True)
class MetaTrainConfig:
    """A meta-training run; equal configurations give equal thetas on one machine.

    Attributes:
        optimizer: the update rule (see `rules.RULES`).
        iterations: updates of theta; decides the learning rate schedule too.
        seed: of every random stream.
        tasks: names of built-in image sets (see `data`) or paths of MNIST-like npz files; each may
            end in hidden widths of its own, `digits:64x64`.
        hidden: widths of the hidden layers of the other inner problems.
        batch_size: images per inner step.
        init: weights file to start from; None starts at random.
    """

    optimizer: str = "celo2-base"
    iterations: int = 20_000
    seed: int = 0
    tasks: tuple[str, ...] = data.META_TRAIN_SETS
    hidden: tuple[int, ...] = (32,)
    batch_size: int = 64
    init: str | None = None
    unroll: Unroll = Unroll()
    outer: Outer = Outer()

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be positive, got {self.iterations}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to config.json."""
        return dataclasses.asdict(self)


def from_dict(values: Mapping[str, Any]) -> MetaTrainConfig:
    """The configuration that `to_dict` wrote.

    Raises:
        ValueError: unknown or missing keys, as of a file of another version.
    """
    nested = {"unroll": Unroll, "outer": Outer}
    try:
        parts = {name: kind(**values[name]) for name, kind in nested.items()}
        rest = {name: value for name, value in values.items() if name not in nested}
        lists = {name: tuple(value) for name, value in rest.items() if isinstance(value, list)}
        return MetaTrainConfig(**{**rest, **lists, **parts})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a meta-training configuration of this version: {error}") from error
