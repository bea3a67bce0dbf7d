"""One sweep of the closed form, and one browser, for all tests that only read them."""

from __future__ import annotations

import os
import shutil

import pytest
from report.landscape import write

from rl_eval.records.table import read_table
from rl_eval.report.sweep import page

ENVS = ("probe/landscape", "probe/landscape-shifted")
OPTIMIZERS = ("celo2", "adamw")
CHROMIUM = os.environ.get("RL_EVAL_CHROMIUM") or shutil.which("chromium")


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """Directory of 2 environments x 2 optimizers x 16 trials x 2 seeds."""
    path = tmp_path_factory.mktemp("sweep")
    write(path, ENVS, OPTIMIZERS, trials=16, seeds=(0, 1))
    return path


@pytest.fixture(scope="session")
def table(sweep):
    return read_table(sweep)


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt-get install chromium, or RL_EVAL_CHROMIUM)")
    with sync_api.sync_playwright() as playwright:
        # A container's root has no sandbox; the page is our own.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def report(table):
    """The page of the shared sweep, whose trials are too few for importances."""
    return page.document(table, page.analysed(table))
