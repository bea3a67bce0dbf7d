"""Exit codes."""

DONE = 0
FAILED = 1
USAGE = 2
DIVERGED = 3
REGRESSION = 1  # of the gate: red, as any failure is
INCONCLUSIVE = 4
INTERRUPTED = 130
# Stopped by another signal: 128 and its number.
