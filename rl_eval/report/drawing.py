"""A figure that a notebook shows by itself and that can be saved."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

from rl_eval.report.figures import FORMATS


@dataclasses.dataclass(frozen=True)
class Drawing:
    """`figure`: matplotlib's, to be changed as one likes."""

    figure: Any

    def save(self, path: str | Path) -> Path:
        """Write it as .png, .svg or .pdf, by the ending of the name.

        Raises:
            ValueError: another ending.
        """
        path, kind = Path(path), Path(path).suffix[1:]
        if kind not in FORMATS:
            raise ValueError(f"{path}: expected a name that ends in .{', .'.join(FORMATS)}")
        self.figure.savefig(path, format=kind, **FORMATS[kind])
        return path

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", **FORMATS["png"])
        return buffer.getvalue()
