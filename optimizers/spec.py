"""What the suite must know about an optimizer: how to build it, its hyperparameters, its needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import optax

from optimizers.fitting import fitted

# What a learner can hand to `update` beyond `params` and `value`, which every optimizer gets.
Need = Literal["progress", "key", "activations"]

# Traced values are arrays under jit, so the value of a hyperparameter is deliberately open.
Value = Any

Make = Callable[..., optax.GradientTransformation]  # (num_steps, **hyperparameters)
EvalParams = Callable[[optax.OptState, optax.Params], optax.Params]
Routing = Callable[..., Any]  # (params, **hyperparameters) to a tree of names of rules

LEARNING_RATES = ("learning_rate", "lr")
DEFAULT_LEARNING_RATE = 3e-4  # for a function that states none
RATE_FACTOR = 100.0  # how far a search goes to either side of a default


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
    a bool, an int) is static. `domain=None` keeps the setting out of sweeps. Where the default is
    None, `types` are those of other values (none: any), and a traced one may be None as well.
    """

    name: str
    default: Value
    domain: Domain | None = None
    static: bool | None = None  # None: static unless the default is a float
    help: str = ""
    types: tuple[type, ...] = ()

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
        follows_run: `make` takes `skipped_steps` too, how many steps of the run were left out so
            far (PPO's `target_kl` leaves some out). A schedule must add them to its own count, or
            it lags behind the run. A scalar array as well.
        hyperparameters: every keyword `make` accepts.
        needs: extra arguments of `update` beyond `params` and `value` (the loss); see `Need`.
        citation: the paper or library the rule comes from.
        eval_params: `eval_params(opt_state, params)`, for rules that evaluate other parameters
            than they train (schedule-free).
        routing: `routing(params, **hyperparameters)` names the rule that each leaf gets.
        learning_rate_name: of the hyperparameter that is the learning rate, where it is not
            called `learning_rate` or `lr`.
    """

    name: str
    make: Make
    hyperparameters: tuple[Hyperparameter, ...] = ()
    needs: frozenset[str] = frozenset()
    citation: str = ""
    eval_params: EvalParams | None = None
    routing: Routing | None = None
    learning_rate_name: str | None = None
    follows_run: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.needs) - set(get_args(Need))
        if unknown:
            raise ValueError(
                f"optimizer '{self.name}' needs {sorted(unknown)}; "
                f"a learner can supply {', '.join(get_args(Need))}"
            )

    @property
    def learning_rate(self) -> str | None:
        """The name of the hyperparameter that is the learning rate; None without one."""
        known = [h.name for h in self.hyperparameters]
        wanted = (self.learning_rate_name, *LEARNING_RATES)
        return next((name for name in wanted if name in known), None)

    def with_learning_rate(self, name: str | None) -> OptimizerSpec:
        """The spec with that hyperparameter as its learning rate; None: as it is.

        Raises:
            ValueError: it has no such hyperparameter, or one that is no number.
        """
        if name is None:
            return self
        found = next((h for h in self.hyperparameters if h.name == name), None)
        if found is None:
            known = ", ".join(h.name for h in self.hyperparameters) or "none"
            raise ValueError(
                f"optimizer '{self.name}' has no hyperparameter '{name}'; it has {known}"
            )
        if isinstance(found.default, bool | str):
            raise ValueError(f"optimizer '{self.name}': '{name}' is no number, so no learning rate")
        rate = dataclasses.replace(found, domain=found.domain or rate_domain(found.default))
        return dataclasses.replace(
            self,
            hyperparameters=tuple(rate if h is found else h for h in self.hyperparameters),
            learning_rate_name=name,
        )

    def canonical(self, name: str) -> str:
        """`name`, or the learning rate's own name where another of its names is given."""
        known = {h.name for h in self.hyperparameters}
        other = self.learning_rate_name in known or name not in known
        if name in LEARNING_RATES and other and self.learning_rate:
            return self.learning_rate
        return name

    def resolve(self, settings: Mapping[str, Value]) -> dict[str, Value]:
        """All hyperparameters: `settings` over the defaults, checked.

        Numbers that JSON lacks come back as the text inf, -inf or nan.

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
            name: _spelled(
                _checked(self.name, h, settings[name]) if name in settings else h.default
            )
            for name, h in known.items()
        }

    def split(self, values: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
        """Resolved hyperparameters as (static, traced)."""
        traced = {
            h.name for h in self.hyperparameters if h.traced and values.get(h.name) is not None
        }
        return (
            {k: v for k, v in values.items() if k not in traced},
            {k: float(v) if isinstance(v, str) else v for k, v in values.items() if k in traced},
        )

    def build(
        self, num_steps: int, skipped_steps: Value = 0, **settings: Value
    ) -> optax.GradientTransformationExtraArgs:
        """The optimizer for a run of `num_steps` gradient steps, `skipped_steps` left out so far.

        It ignores unknown extra args, and keeps the dtypes of parameters and state.

        Raises:
            ValueError: what `resolve` refuses.
            OptimizerError: its `init` or `update` cannot do what a learner needs; when called.
        """
        numbers = {h.name for h in self.hyperparameters if isinstance(h.default, float)}
        values = {
            name: float(value) if isinstance(value, str) and name in numbers else value
            for name, value in self.resolve(settings).items()
        }
        if self.follows_run:
            values["skipped_steps"] = skipped_steps
        return fitted(self.make(num_steps, **values), self.name)


def rate_domain(default: Value) -> Domain | None:
    """Where to look for a learning rate whose default is this one."""
    if default is None:
        default = DEFAULT_LEARNING_RATE
    if not isinstance(default, float) or not 0 < default < math.inf:
        return None
    return LogUniform(default / RATE_FACTOR, default * RATE_FACTOR)


def _spelled(value: Value) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value


def _checked(optimizer: str, h: Hyperparameter, value: Value) -> Value:
    """`value`, converted to the type of the default where that loses nothing."""
    if h.default is None:
        return _checked_optional(optimizer, h, value)
    if isinstance(h.default, float) and not math.isfinite(h.default) and _is_unlimited(value):
        return float(value)
    if h.traced:
        return _number(optimizer, h, value)
    if isinstance(h.domain, Choice) and value not in h.domain.values:
        allowed = ", ".join(map(str, h.domain.values))
        raise ValueError(f"{optimizer}: {h.name} must be one of {allowed}, got {value!r}")
    if type(h.default) is float and type(value) is int:
        return float(value)
    if type(value) is not type(h.default):
        raise ValueError(f"{optimizer}: {h.name} must be {type(h.default).__name__}, got {value!r}")
    return value


def _checked_optional(optimizer: str, h: Hyperparameter, value: Value) -> Value:
    """`value` of a hyperparameter whose default is None, which may be written None or none."""
    if value is None or (isinstance(value, str) and value.lower() == "none"):
        return None
    if h.traced or h.types == (float,):
        number = _number(optimizer, h, value, " or None")
        return number if h.traced else value  # an integer may be meant, as in range(value)
    if h.types and type(value) not in h.types:
        allowed = " or ".join([*(kind.__name__ for kind in h.types), "None"])
        raise ValueError(f"{optimizer}: {h.name} must be {allowed}, got {value!r}")
    if isinstance(h.domain, Choice) and value not in h.domain.values:
        allowed = ", ".join(map(str, h.domain.values))
        raise ValueError(f"{optimizer}: {h.name} must be one of {allowed}, got {value!r}")
    return value


def _number(optimizer: str, h: Hyperparameter, value: Value, more: str = "") -> Value:
    if isinstance(value, (bool, str)) or value is None:
        raise ValueError(f"{optimizer}: {h.name} must be a number{more}, got {value!r}")
    if isinstance(value, (int, float)) and not math.isfinite(value):
        raise ValueError(f"{optimizer}: {h.name} must be finite, got {value!r}")
    return float(value) if isinstance(value, int) else value


def _is_unlimited(value: Value) -> bool:
    """Whether it is inf, -inf or nan, or one of them in words."""
    if isinstance(value, str):
        return value.lower().lstrip("+-") in ("inf", "infinity", "nan")
    return isinstance(value, float) and not math.isfinite(value)
