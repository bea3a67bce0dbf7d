"""The colours of all figures and pages, told apart by the colour-blind and on a grey print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

# Of Okabe and Ito; markers and dashes say the same in grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b")
MARKERS = "osD^v<>Pp*"
DASHES: Any = ("solid", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1, 1.5)))
RETURNS = "viridis"  # lightness rises with the return, so that grey prints keep the order
INK = "#222222"
PALE = "#666666"
NO_SCORE = "#8a8a8a"
EMPTY = "#e3e5e8"


class Ink(NamedTuple):
    """How one of several optimizers is drawn."""

    colour: str
    line: dict[str, Any]
    """Keyword arguments of a line with markers."""


def inks(names: Sequence[str]) -> dict[str, Ink]:
    """By name, in their order."""
    return {name: ink(i, COLOURS) for i, name in enumerate(names)}


def ink(place: int, colours: Sequence[str]) -> Ink:
    """The one at a place of a list that has no end."""
    colour = colours[place % len(colours)]
    marks = {"marker": MARKERS[place % len(MARKERS)], "ls": DASHES[place % len(DASHES)]}
    return Ink(colour, {"color": colour, **marks})


def shades(count: int) -> list[str]:
    """`count` colours for returns from the lowest to the highest, as on a web page."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    scale: Any = colormaps[RETURNS]
    return [to_hex(scale(i / (count - 1))) for i in range(count)]
