"""When two values of a hyperparameter are the same: by exact value, never by how they are shown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

Identity = tuple[Any, ...]
_TIE = 1e-12  # of the largest value: what the order of a sum may change


def identity(value: Any) -> Identity:
    """A key that is equal for equal values alone; keys can be hashed and sorted.

    1 and 1.0 are one number, as are 0.0 and -0.0. True, "1" and None are other values than any
    number. Lists are compared item by item.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, int | float):
        return (3,) if math.isnan(value) else (2, value)
    if isinstance(value, str):
        return (4, value)
    if isinstance(value, Mapping):
        return (6, *sorted((identity(k), identity(v)) for k, v in value.items()))
    if isinstance(value, Sequence | np.ndarray):
        return (5, *map(identity, value))
    return (7, type(value).__qualname__, repr(value))


def same(a: Any, b: Any) -> bool:
    """Whether two values are one."""
    return identity(a) == identity(b)


def distinct(values: Sequence[Any] | np.ndarray) -> list[Any]:
    """The different values, in the order in which they come."""
    found: dict[Identity, Any] = {}
    for value in values:
        found.setdefault(identity(value), value)
    return list(found.values())


def codes(values: Sequence[Any] | np.ndarray) -> tuple[Int[np.ndarray, " trial"], list[Any]]:
    """Which of the different values each one is, and these values, sorted."""
    keys = [identity(value) for value in values]
    found: dict[Identity, Any] = dict(zip(reversed(keys), reversed(values), strict=True))
    order = {key: i for i, key in enumerate(sorted(found))}
    return np.array([order[key] for key in keys], np.int64), [found[key] for key in order]


def numbers(values: Sequence[Any] | np.ndarray) -> Float[np.ndarray, " trial"] | None:
    """The values as float64; None if any is no number (a truth value is none)."""
    kinds = {identity(value)[0] for value in values}
    return np.array([float(v) for v in values], np.float64) if kinds <= {2, 3} else None


@dataclasses.dataclass(frozen=True)
class Column:
    """One hyperparameter's value in every trial.

    Anything but numbers is categorical, and so are numbers with `categorical`.
    """

    values: Sequence[Any] | np.ndarray
    log: bool = False
    categorical: bool = False

    def scaled(self, name: str = "") -> Float[np.ndarray, " trial"] | None:
        """Between 0 and 1, even in the logarithm with `log`; None if it is categorical.

        Raises:
            ValueError: on a log scale and not positive.
        """
        found = None if self.categorical else numbers(self.values)
        if found is None:
            return None
        if self.log and found.min() <= 0:
            raise ValueError(f"column '{name}' is on a log scale but holds {found.min():g}")
        found = np.log(found) if self.log else found / max(1.0, np.abs(found).max())
        low, high = found.min(), found.max()
        return (found - low) / (high - low) if high > low else np.zeros_like(found)


def snapped(values: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """The same values, except that those which rounding alone tells apart are equal."""
    flat = np.asarray(values, np.float64).ravel()
    order = np.argsort(flat, kind="stable")
    rising = flat[order]
    first = np.diff(rising, prepend=-np.inf) > _TIE * np.abs(flat).max(initial=0.0)
    result = np.empty_like(flat)
    result[order] = rising[first][np.cumsum(first) - 1]
    return result.reshape(np.shape(values))
