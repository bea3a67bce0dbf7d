"""Exit codes."""

DONE = 0
FAILED = 1
USAGE = 2
DIVERGED = 3
