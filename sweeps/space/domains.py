"""What a hyperparameter ranges over: its form in YAML, its values along the unit interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from optimizers.spec import Choice, Domain, LogUniform, Uniform
from rl_eval.settings import near
from rl_eval.stats.values import distinct

# Values are rounded to this, so that the last bit of a machine's exp cannot change a trial's id;
# since the rules 2, to more where a range is so narrow that five digits leave few values in it. A
# sweep keeps the rules that it began with, and with them its trials.
DIGITS = 5
Rules = Literal[1, 2]
LATEST: Rules = 2


@dataclasses.dataclass(frozen=True)
class Integers:
    """Whole numbers from `low` to `high`, both included, searched uniformly."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"int needs whole numbers low < high, got {self.low}, {self.high}")


SearchDomain = Domain | Integers


def parse_domain(value: Any) -> SearchDomain:
    """A domain from its YAML form.

    Raises:
        ValueError: not exactly one known kind, or bounds that make no sense.
    """
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(
            f"expected one domain ({', '.join(_KINDS)}) such as {{log_uniform: [1e-5, 1e-3]}}, "
            f"got {value!r}"
        )
    ((kind, given),) = value.items()
    if kind not in _KINDS:
        raise ValueError(f"unknown domain {kind}; {near(kind, _KINDS)}")
    return _KINDS[kind](given)


def _bounds(given: Any) -> tuple[Any, Any]:
    numbers = isinstance(given, list) and len(given) == 2 and all(map(_is_number, given))
    if not numbers:
        raise ValueError(f"expected [low, high], got {given!r}")
    return given[0], given[1]


def _integers(given: Any) -> Integers:
    low, high = _bounds(given)
    if type(low) is not int or type(high) is not int:
        raise ValueError(f"int needs whole numbers low < high, got {low}, {high}")
    return Integers(low, high)


def _choice(given: Any) -> Choice:
    plain = isinstance(given, list) and not any(isinstance(v, (list, dict)) for v in given)
    if not plain or not given or len(distinct(given)) < len(given):
        raise ValueError(f"choice needs a list of different values, got {given!r}")
    return Choice(tuple(given))


_KINDS: dict[str, Callable[[Any], SearchDomain]] = {
    "log_uniform": lambda given: LogUniform(*map(float, _bounds(given))),
    "uniform": lambda given: Uniform(*map(float, _bounds(given))),
    "int": _integers,
    "choice": _choice,
    "fixed": lambda given: _choice([given]),
}


def value_at(domain: SearchDomain, u: float, rules: Rules = LATEST) -> Any:
    """The value at `u` in [0, 1] of a domain."""
    if isinstance(domain, Choice):
        return domain.values[min(int(u * len(domain.values)), len(domain.values) - 1)]
    if isinstance(domain, Integers):
        return domain.low + min(int(u * (domain.high - domain.low + 1)), domain.high - domain.low)
    digits = DIGITS if rules == 1 else _digits(domain)
    return min(max(float(f"{_between(domain, float(u)):.{digits}g}"), domain.low), domain.high)


def _between(domain: LogUniform | Uniform, u: float) -> float:
    low, high = domain.low, domain.high
    if isinstance(domain, LogUniform):
        if math.isfinite(high / low):
            return low * (high / low) ** u
        return math.exp(math.log(low) * (1 - u) + math.log(high) * u)
    return low + (high - low) * u if math.isfinite(high - low) else low * (1 - u) + high * u


def _digits(domain: LogUniform | Uniform) -> int:
    """As many as leave some ten thousand values, and as few as five."""
    width = (domain.high / 2 - domain.low / 2) / max(abs(domain.low), abs(domain.high)) * 2
    return min(17, DIGITS + max(0, math.ceil(-math.log10(width)) - 1))


def levels(domain: SearchDomain, points: int) -> list[float]:
    """Unit coordinates: of every choice, of both ends and what lies evenly between them."""
    if isinstance(domain, Choice):
        count = len(domain.values)
        return [(i + 0.5) / count for i in range(count)]
    if isinstance(domain, Integers):
        count = domain.high - domain.low + 1
        if count > points:
            picked = sorted({round(i * (count - 1) / (points - 1)) for i in range(points)})
        else:
            picked = list(range(count))
        return [(i + 0.5) / count for i in picked]
    return [i / (points - 1) for i in range(points)]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
