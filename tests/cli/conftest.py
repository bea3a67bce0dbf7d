"""Commands that the tests of one file start, with one folder for their logs and programs."""

from __future__ import annotations

import pytest
from cli.processes import Commands


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return Commands(tmp_path_factory.mktemp("commands"))
