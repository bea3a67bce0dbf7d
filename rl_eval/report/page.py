"""One self-contained HTML file: styles, scripts and data inlined, nothing fetched, no server."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

# The page may run what it carries and reach nothing else.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page. `body`, `style` and `script` are trusted; `data` may hold anything.

    The script finds its data as JSON in the element `<name>-data`, and `dom` (assets/dom.js).
    """

    name: str
    title: str
    body: str
    data: Any = None
    style: str = ""
    script: str = ""


def page(title: str, sections: Sequence[Section]) -> str:
    """The HTML document; equal sections give equal text."""
    styles = [asset("page.css"), *(section.style for section in sections)]
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        *(f"<style>\n{style}</style>" for style in styles if style),
        f"<h1>{html.escape(title)}</h1>",
    ]
    if any(section.script for section in sections):
        parts.append(f"<script>\n{asset('dom.js')}</script>")
    for section in sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        parts.append(section.body)
        if section.data is not None:
            kind = f'type="application/json" id="{section.name}-data"'
            parts.append(f"<script {kind}>{embedded(section.data)}</script>")
        if section.script:
            parts.append(f"<script>\n{section.script}</script>")
    return "\n".join(parts) + "\n</html>\n"


def embedded(data: Any) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment there."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def asset(name: str) -> str:
    """A style or script that ships with the package."""
    return (files("rl_eval.report") / "assets" / name).read_text(encoding="utf-8")
