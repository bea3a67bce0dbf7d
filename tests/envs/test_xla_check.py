from __future__ import annotations

import sys

import pytest

from rl_eval.envs import xla_check
from rl_eval.envs.xla_check import verdict

ABORT = (sys.executable, "-c", "import os; os.abort()")
RAISE = (sys.executable, "-c", "raise RuntimeError('no custom call target')")
PASS = (sys.executable, "-c", "pass")
SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_real_check_passes_on_cpu():
    assert verdict() == (True, "XLA self-test passed")


def test_an_abort_is_a_reason_and_is_remembered():
    found = verdict(ABORT)
    assert not found.works
    assert "killed by SIGABRT" in found.reason
    assert verdict(PASS) == found


def test_an_exception_is_quoted():
    assert verdict(RAISE).reason.endswith("exit code 1: RuntimeError: no custom call target")


def test_other_versions_are_asked_anew(monkeypatch):
    assert not verdict(ABORT).works
    with monkeypatch.context() as patch:
        patch.setattr(xla_check, "version_set", lambda: "another")
        assert verdict(PASS).works
    assert not verdict(PASS).works


def test_a_slow_child_is_given_up_and_asked_again():
    assert "no answer within 0.2 s" in verdict(SLEEP, timeout=0.2).reason
    assert verdict(PASS).works


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\x00", '{"a": [1, 2, 3]}'])
def test_a_foreign_cache_file_is_no_verdict(content):
    path = xla_check.cache_path()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert verdict(PASS).works


def test_an_unwritable_cache_is_no_obstacle(cache, monkeypatch):
    (cache / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "file"))
    assert verdict(PASS).works
    assert not verdict(ABORT).works
