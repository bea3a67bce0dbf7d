"""What all failures share that need no more than their message."""

from __future__ import annotations


class ExplainedError(Exception):
    """One line for the person at the keyboard: what failed, on which file, and what to do."""
