"""The streams of a command, which neither a closed pipe nor a poor terminal may end."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

import rich.console
from rich.text import Text

from rl_eval.text import printable


class Console(rich.console.Console):
    """Shows text as it is: names in brackets are no markup, and control characters are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


class Stream:
    """A text stream that drops what cannot be written, and remembers why.

    `failure`: the first error; a reader that went away (`| head -1`) is one.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        if self.failure is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """What is still in its buffer goes nowhere, so that Python does not try it at exit."""
        self.failure = error
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def steady() -> Iterator[list[OSError]]:
    """Standard output and errors fail in silence meanwhile; their failures, at the end.

    Characters that a terminal does not have are written by their numbers. That nobody reads is no
    failure.
    """
    streams = [(name, getattr(sys, name)) for name in ("stdout", "stderr")]
    failures: list[OSError] = []
    for name, stream in streams:
        if stream is not None:
            with contextlib.suppress(AttributeError, ValueError):
                stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, Stream(stream))
    try:
        yield failures
    finally:
        for name, stream in streams:
            mine = getattr(sys, name)
            if isinstance(mine, Stream):
                mine.flush()
                if mine.failure is not None and mine.failure.errno != errno.EPIPE:
                    failures.append(mine.failure)
            setattr(sys, name, stream)
