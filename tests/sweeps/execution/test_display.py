"""The line of a sweep: counts of runs, whatever workers they share."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.landscape import base

from sweeps.execution.display import _State
from sweeps.execution.execute import Tally
from sweeps.execution.work import Ended, Item, Moving, Retried


def item(name):
    return Item(name, base("probe/landscape", "adamw"), Path(name), "signature")


@pytest.fixture
def state():
    return _State(Tally(total=4))


def test_runs_that_one_worker_trains_together_are_counted_each(state):
    for name in "ab":
        state.add(Moving(item(name), 0, 0.5))
    assert "0/4 runs  2 running" in state.line()
    state.add(Ended(item("a"), 0, "completed", None, 3.0))
    state.add(Retried(item("b"), 0, "killed"))
    assert "1/4 runs  0 running" in state.line()
    assert "best 3.00 (a seed 0)" in state.line()


def test_no_remaining_time_is_told_from_the_share_of_a_compilation(state):
    state.add(Moving(item("a"), 0, 0.01))
    assert state.line().endswith("ETA -")
    state.add(Moving(item("a"), 0, 0.5))
    assert state.line().endswith("ETA 0:00:00")
