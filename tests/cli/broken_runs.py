"""Runs that take their worker down, hang or take their time, in place of training."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

from rl_eval.config import RunConfig
from rl_eval.settings import read
from sweeps.tasks import formula


def make():
    """What happens follows from the file `<what>` beside the sweep's trials, or not at all.

    once: the first try of the trial that it names is killed; always: every try; hang: it sleeps;
    error: it raises; full: the disk is; slow: every run takes as many seconds as the file says.
    """

    def run(values, directory: Path, tell):
        config = read(RunConfig, values, "order")
        sweep = directory.parents[2]
        trial = directory.parent.name

        def says(what):
            file = sweep / what
            return file.read_text() if file.exists() else ""

        directory.parent.mkdir(parents=True, exist_ok=True)
        with (sweep / "tries").open("a") as file:
            file.write(f"{trial}/{directory.name}\n")
        tries = (sweep / "tries").read_text().split()
        if says("always") == trial or (
            says("once") == trial and tries.count(f"{trial}/{directory.name}") == 1
        ):
            os.kill(os.getpid(), signal.SIGSEGV if says("segfault") else signal.SIGKILL)
        if says("hang") == trial:
            time.sleep(600)
        if says("error") == trial:
            raise ValueError("what a run cannot do")
        if says("full") == trial:
            raise RuntimeError("saving failed") from OSError(
                errno.ENOSPC, "No space left on device"
            )
        if slow := says("slow"):
            time.sleep(float(slow))
        return formula.evaluate(config, directory, {})

    return run


def make_together():
    """The same, for several orders at once."""
    run = make()
    return lambda orders, tell: [run(*order, tell) for order in orders]
