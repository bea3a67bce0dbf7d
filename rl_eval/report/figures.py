"""How figures are saved: the same style and bytes wherever they are drawn."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "svg": {"dpi": 150, "metadata": {"Date": None, "Creator": None}},
    "pdf": {"dpi": 150, "metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
MANY = 400  # of what a figure shows, above which it has pixels in place of shapes
STYLE: Any = {
    "font.size": 8,
    "pdf.fonttype": 42,
    "svg.hashsalt": "rl-eval",
    "text.parse_math": False,  # a name may have a dollar sign
}
WIDE = 5.5  # inches


@contextmanager
def styled() -> Iterator[None]:
    """The style of every figure, not the reader's own."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def save(figure: Any, out_dir: Path, name: str) -> list[Path]:
    """Write a figure as PNG, SVG and PDF."""
    stem = re.sub(r"[^\w.-]", "-", name)
    paths = []
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not for every file
    for suffix, options in FORMATS.items():
        paths.append(out_dir / f"{stem}.{suffix}")
        figure.savefig(paths[-1], format=suffix, **options)
    return paths


def wrapped(text: str, width: int) -> str:
    """Text in lines of about `width` letters, cut where a name has a joint, or where it must be."""
    lines = [""]
    for piece in re.findall(r"[^\s/:._,-]*[\s/:._,-]*", text):
        while len(piece.rstrip()) > width:
            room = width - len(lines[-1])
            lines[-1] += piece[:room]
            piece = piece[room:]
            lines.append("")
        if len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines if line.strip())


def shortened(text: str, width: int) -> str:
    """Text of at most `width` letters, without its middle if it is longer."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[head + 1 - width :]}"


def inlined(figure: Any) -> str:
    """A figure as the address of an image that a page carries in itself."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", **FORMATS["svg"])
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def images(figures: Iterable[tuple[str, Any]]) -> str:
    """Figures side by side, each with the words for those who cannot see it; "" without any.

    On a narrow page small ones shrink and wide ones scroll.
    """
    parts = []
    for words, figure in figures:
        kind = "figure wide" if figure.get_size_inches()[0] > WIDE else "figure"
        image = f'<img class="{kind}" alt="{html.escape(words)}" src="{inlined(figure)}">'
        parts.append(f'<div class="scroll">{image}</div>')
    return f'<div class="figures">{"".join(parts)}</div>' if parts else ""
