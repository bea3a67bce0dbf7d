"""The loss that the gate accepts where nothing else is said."""

MARGIN = 0.2  # of the baseline's own score
FLOOR = 0.005  # as a normalised score
