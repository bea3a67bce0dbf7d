"""The one way of a run's numbers into its records: JSON has no NaN or infinity; they are null."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, SupportsFloat


def finite(value: SupportsFloat) -> float | None:
    """`value`, or None for NaN and infinity."""
    number = float(value)
    return number if math.isfinite(number) else None


def plain(value: Any) -> Any:
    """A record with None for every float in it that is not finite."""
    if isinstance(value, float):
        return finite(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
