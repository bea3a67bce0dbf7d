"""Arrays whose axes have names: a wrong shape is an error that says which axis is which."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float


def named(array: Any, axes: str, name: str = "scores") -> Float[np.ndarray, ...]:
    """`array` as float64, checked to have the axes that `axes` names, as in "run env".

    A leading "..." stands for any number of further axes (resamples, simulated gates).

    Raises:
        ValueError: another number of axes, an empty axis, or values that are not finite.
    """
    values = np.asarray(array, dtype=np.float64)
    wanted = axes.replace("...", "").split()
    batched = axes.startswith("...")
    if values.ndim < len(wanted) or (values.ndim > len(wanted) and not batched):
        order = ", ".join(f"axis {i - len(wanted)} is {axis}" for i, axis in enumerate(wanted))
        raise ValueError(
            f"{name} must have the axes [{axes}] ({order}), got an array of shape {values.shape}"
        )
    for axis, length in zip(wanted, values.shape[-len(wanted) :], strict=True):
        if length == 0:
            raise ValueError(f"{name} of shape {values.shape}: the axis '{axis}' is empty")
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise ValueError(
            f"{name}: {bad} of {values.size} values are not finite; a run that diverged counts at "
            "its floor score (objective.floored), a run that is missing must be run or left out"
        )
    return values


def paired(first: Any, second: Any, axes: str, names: str) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of the same axes and the same shape; entries at one index are a pair.

    Raises:
        ValueError: as `named`, or the shapes differ.
    """
    left, right = names.split()
    a, b = named(first, axes, left), named(second, axes, right)
    if a.shape != b.shape:
        raise ValueError(
            f"{left} and {right} are paired along [{axes}]: {a.shape} is not {b.shape}"
        )
    return a, b
