"""Where an axis has its ticks, as heights in [0, 1], and how numbers are written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from rl_eval.records.sweep import Setting
from rl_eval.stats.values import Identity, identity

Ticks = tuple[tuple[float, str], ...]
NEAR = 0.09  # of the axis: two labels closer than this would touch
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Setting) -> str:
    """A value as a reader would type it: 2.15e-5, 0.99, none, true. Different ones may look alike.

    Just below 1 it has as many digits as tell it from 1.
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if not isinstance(value, float):
        return str(value)
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e6:
        if size >= 1e4:
            return f"{value:.0f}"
        digits = 1 + math.ceil(-math.log10(1 - size)) if size < 1 else 4
        return f"{value:.{max(4, digits)}g}"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def exact(value: Setting) -> str:
    """A value with all of its digits, and text in quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, float) else number(value)


def labels(values: Sequence[Setting]) -> list[str]:
    """How each of some values is written, so that no two different ones are written alike."""
    short = list(map(number, values))
    meant: dict[str, set[Identity]] = {}
    for text, value in zip(short, values, strict=True):
        meant.setdefault(text, set()).add(identity(value))
    return [
        text if len(meant[text]) == 1 and text else exact(value)
        for text, value in zip(short, values, strict=True)
    ]


def linear_ticks(low: float, high: float, whole: bool = False) -> Ticks:
    """About five round values, whole ones only where `whole`."""
    step = _round_step(high / 5 - low / 5)
    step = max(1.0, step) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [i * step for i in range(first, last + 1)]
    # As many digits as tell neighbours apart.
    digits = max(6, 2 + math.ceil(math.log10(max(abs(low), abs(high)) / step)))
    return tuple((min(max(share(v, low, high), 0.0), 1.0), f"{v:.{digits}g}") for v in values)


def share(value: float, low: float, high: float) -> float:
    """How far `value` is on the way from `low` to `high`, also where the way has no number."""
    width = high - low
    if math.isfinite(width):
        return (value - low) / width
    return (value / 2 - low / 2) / (high / 2 - low / 2)


def log_ticks(low: float, high: float, whole: bool = False) -> Ticks:
    """Decades, finer where there are few, and the ends where no tick is near."""
    span = math.log10(high) - math.log10(low)
    mantissas = (1, 2, 5) if span < 1.5 else (1, 3) if span < 2.5 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{m}e{d}") for d in decades for m in mantissas]
    values = [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
    every = max(1, math.ceil(len(values) / 8))
    places = [((math.log10(v) - math.log10(low)) / span, v) for v in values[::every]]
    for end in ((0.0, low), (1.0, high)):
        if all(abs(end[0] - height) > NEAR for height, _ in places):
            places.append(end)
    text = _power if low < 1e-3 or high >= 1e5 else number
    return tuple((min(max(height, 0.0), 1.0), text(v)) for height, v in sorted(places))


def _round_step(step: float) -> float:
    """The nearest of 1, 2, 2.5, 5 and 10 times a power of ten, from above."""
    base = 10.0 ** math.floor(math.log10(step))
    return next(m * base for m in (1, 2, 2.5, 5, 10) if m * base >= step * (1 - 1e-9))


def _power(value: float) -> str:
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if not exponent:
        exponent = str(math.floor(math.log10(value) + 1e-9))
        mantissa = f"{value / 10.0 ** int(exponent):.3g}"
    tens = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    return tens if mantissa == "1" else f"{mantissa}·{tens}"
