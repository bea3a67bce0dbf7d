"""What the suite must know about an optimizer: how to build it, its hyperparameters, its needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import optax

# What a learner can hand to `update` beyond `params` and `value`, which every optimizer gets.
Need = Literal["progress", "key", "activations"]

# Traced values are arrays under jit, so the value of a hyperparameter is deliberately open.
Value = Any


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A positive range searched uniformly in its logarithm."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"LogUniform needs 0 < low < high, got {self.low}, {self.high}")


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A range searched uniformly."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"Uniform needs low < high, got {self.low}, {self.high}")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A finite set of values, in the order a report should show them."""

    values: tuple[Value, ...]


Domain = LogUniform | Uniform | Choice


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """One setting of an optimizer.

    A float is traced: changing it never recompiles. Anything that decides structure (a string,
    a bool, an int) is static. `domain=None` keeps the setting out of sweeps.
    """

    name: str
    default: Value
    domain: Domain | None = None
    static: bool | None = None  # None: static unless the default is a float
    help: str = ""

    @property
    def traced(self) -> bool:
        return not self.static if self.static is not None else isinstance(self.default, float)


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
    """A named optimizer that can be built for a run of known length.

    Attributes:
        name: as given to `--optimizer`.
        make: `make(num_steps, **hyperparameters)` returns an optax transformation; `num_steps` is
            the number of gradient steps of the whole run. Traced hyperparameters arrive as
            scalar arrays, so `make` must not branch on them.
        hyperparameters: every keyword `make` accepts.
        needs: extra arguments of `update` beyond `params` and `value` (the loss); see `Need`.
        citation: the paper or library the rule comes from.
        eval_params: `eval_params(opt_state, params)`, for rules that evaluate other parameters
            than they train (schedule-free).
        routing: `routing(params, **hyperparameters)` names the rule that each leaf gets.
    """

    name: str
    make: Callable[..., optax.GradientTransformation]
    hyperparameters: tuple[Hyperparameter, ...] = ()
    needs: frozenset[str] = frozenset()
    citation: str = ""
    eval_params: Callable[[optax.OptState, optax.Params], optax.Params] | None = None
    routing: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        unknown = set(self.needs) - set(get_args(Need))
        if unknown:
            raise ValueError(
                f"optimizer '{self.name}' needs {sorted(unknown)}; "
                f"a learner can supply {', '.join(get_args(Need))}"
            )

    def resolve(self, settings: Mapping[str, Value]) -> dict[str, Value]:
        """All hyperparameters: `settings` over the defaults, checked.

        Raises:
            ValueError: an unknown name, or a value of the wrong type or outside a `Choice`.
        """
        known = {h.name: h for h in self.hyperparameters}
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise ValueError(
                f"optimizer '{self.name}' has no hyperparameter '{unknown[0]}'; "
                f"it has {', '.join(known) or 'none'}"
            )
        return {
            name: _checked(self.name, h, settings[name]) if name in settings else h.default
            for name, h in known.items()
        }

    def split(self, values: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
        """Resolved hyperparameters as (static, traced)."""
        traced = {h.name for h in self.hyperparameters if h.traced}
        return (
            {k: v for k, v in values.items() if k not in traced},
            {k: v for k, v in values.items() if k in traced},
        )

    def build(self, num_steps: int, **settings: Value) -> optax.GradientTransformationExtraArgs:
        """The optimizer for a run of `num_steps` gradient steps.

        It ignores unknown extra args, and keeps the dtypes of parameters and state.
        """
        made = optax.with_extra_args_support(self.make(num_steps, **self.resolve(settings)))

        def update(
            updates: optax.Updates, state: optax.OptState, params: Any = None, **extra_args: Any
        ) -> tuple[optax.Updates, optax.OptState]:
            new_updates, new_state = made.update(updates, state, params, **extra_args)
            like = updates if params is None else params
            return _cast_like(new_updates, like), _cast_like(new_state, state)

        return optax.GradientTransformationExtraArgs(made.init, update)


def _cast_like(tree: Any, like: Any) -> Any:
    """`tree` in the dtypes of `like`.

    A traced float32 hyperparameter, unlike Python's floats, promotes bfloat16 arrays.
    """

    def cast(leaf: Any, other: Any) -> Any:
        same = getattr(leaf, "dtype", None) == getattr(other, "dtype", None)
        return leaf if same else jnp.asarray(leaf, other.dtype)

    return jax.tree.map(cast, tree, like)


def _checked(optimizer: str, h: Hyperparameter, value: Value) -> Value:
    """`value`, converted to the type of the default where that loses nothing."""
    if h.traced:
        if isinstance(value, (bool, str)) or value is None:
            raise ValueError(f"{optimizer}: {h.name} must be a number, got {value!r}")
        if isinstance(value, (int, float)) and not math.isfinite(value):
            raise ValueError(f"{optimizer}: {h.name} must be finite, got {value!r}")
        return float(value) if isinstance(value, int) else value
    if isinstance(h.domain, Choice) and value not in h.domain.values:
        allowed = ", ".join(map(str, h.domain.values))
        raise ValueError(f"{optimizer}: {h.name} must be one of {allowed}, got {value!r}")
    if type(h.default) is float and type(value) is int:
        return float(value)
    if h.default is not None and type(value) is not type(h.default):
        raise ValueError(f"{optimizer}: {h.name} must be {type(h.default).__name__}, got {value!r}")
    return value
