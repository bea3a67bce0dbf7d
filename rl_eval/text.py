"""Names and reasons from files, made harmless for terminals, tables and pages."""

from __future__ import annotations

import re

# What terminals obey, and what turns the direction of writing.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_MARKDOWN = re.compile(r"([\\`*\[\]#|])")


def printable(text: str) -> str:
    """Control characters as they are written in Python; lines and tabs stay."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """As `printable`, with all that ends a line replaced by spaces."""
    return printable(" ".join(text.split()))


def markdown(text: str) -> str:
    """Text as Markdown that shows just that: in one line, with nothing that formats."""
    return _MARKDOWN.sub(r"\\\1", one_line(text)).replace("<", "&lt;")


def csv_cell(value: object) -> object:
    """A cell that spreadsheets take for text where it is text: none begins a formula."""
    if not isinstance(value, str) or not value.lstrip().startswith(("=", "+", "-", "@")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
