"""One sweep of the closed form, shared by the tests that only read it."""

from __future__ import annotations

import pytest
from report.landscape import write

from rl_eval.report.table import read_table

ENVS = ("probe/landscape", "probe/landscape-shifted")
OPTIMIZERS = ("celo2", "adamw")


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """Directory of 2 environments x 2 optimizers x 16 trials x 2 seeds."""
    path = tmp_path_factory.mktemp("sweep")
    write(path, ENVS, OPTIMIZERS, trials=16, seeds=(0, 1))
    return path


@pytest.fixture(scope="session")
def table(sweep):
    return read_table(sweep)
