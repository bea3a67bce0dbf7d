"""How figures are saved: the same style and bytes wherever they are drawn."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
STYLE: Any = {
    "font.size": 8,
    "pdf.fonttype": 42,
    "svg.hashsalt": "rl-eval",
    "text.parse_math": False,  # a name may have a dollar sign
}


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
    for suffix, options in FORMATS.items():
        paths.append(out_dir / f"{stem}.{suffix}")
        figure.savefig(paths[-1], format=suffix, **options)
    return paths


def inlined(figure: Any) -> str:
    """A figure as the address of an image that a page carries in itself."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", **FORMATS["svg"])
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
