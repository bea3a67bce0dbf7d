"""The command line. Its process is ours, so our packages come first in it from here on."""

from rl_eval.packages import prefer_ours

prefer_ours()
