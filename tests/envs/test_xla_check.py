"""What is an answer of the XLA self-test, and what is only bad luck."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from rl_eval import caches
from rl_eval.envs import xla_check
from rl_eval.envs.xla_check import CHECK, STARTED, verdict

BEGUN = f"print({STARTED!r}, flush=True); import os, signal, sys; "


def child(code, begun=True):
    return sys.executable, "-c", (BEGUN if begun else "import os, signal, sys; ") + code


ABORT = child("os.abort()")
RAISE = child("raise RuntimeError('no custom call target')")
PASS = child("")
SLEEP = child("import time; time.sleep(60)")
SAYS = "sys.stderr.write({!r}); os.abort()"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_real_check_passes_on_cpu_beside_files_called_as_modules_of_python(tmp_path):
    """And it is not the backend's tester that is imported with the backend."""
    (tmp_path / "random.py").write_text("raise SystemExit('my experiments')")
    code = f"import json, subprocess as s; print(json.dumps(s.run({list(CHECK)}).returncode))"
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == [STARTED, "0"], done.stderr
    assert "rl_eval.envs.xla_selftest" not in sys.modules


def test_an_abort_is_a_reason_and_is_remembered():
    found = verdict(ABORT)
    assert not found.works
    assert "killed by SIGABRT" in found.reason
    assert verdict(PASS) == found


def test_a_fresh_answer_replaces_what_was_remembered():
    assert not verdict(ABORT).works
    assert verdict(PASS, fresh=True).works
    assert verdict(ABORT).works
    assert not verdict(child("os.kill(os.getpid(), 9)"), fresh=True).works
    assert not verdict(ABORT).works  # the old answer was not kept either


def test_an_exception_is_quoted():
    assert verdict(RAISE).reason.endswith("exit code 1: RuntimeError: no custom call target")


@pytest.mark.parametrize(
    "accident",
    [
        *(child(f"os.kill(os.getpid(), signal.{name})") for name in ("SIGKILL", "SIGTERM")),
        child("os.kill(os.getpid(), signal.SIGRTMIN + 1)"),
        child("os.abort()", begun=False),
        child("import not_installed_simulator", begun=False),
        child("raise MemoryError"),
        child(SAYS.format("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes")),
        child(SAYS.format("terminate called after throwing an instance of 'std::bad_alloc'")),
        child('raise RuntimeError("can\'t start new thread")'),
        ("/no/such/program",),
    ],
)
def test_an_accident_is_no_verdict_and_is_asked_again(accident):
    assert not verdict(accident).works
    assert not xla_check.cache_path().exists()
    assert verdict(PASS).works


def test_other_versions_are_asked_anew(monkeypatch):
    assert not verdict(ABORT).works
    with monkeypatch.context() as patch:
        patch.setattr(xla_check, "version_set", lambda: "another")
        assert verdict(PASS).works
    assert not verdict(PASS).works


def test_a_gpus_plugin_and_driver_are_part_of_what_the_answer_depends_on(monkeypatch):
    class Gpu:
        platform, device_kind = "gpu", "NVIDIA H200"
        client = type("Client", (), {"platform_version": "PJRT C API\ncuda 13020"})

    there = {"envpool": "1.2", "jax": "0.11", "jax-cuda13-plugin": "0.11.2"}
    monkeypatch.setattr(xla_check.jax, "devices", lambda: [Gpu])
    monkeypatch.setattr(xla_check, "_version", there.get)
    key = xla_check.version_set()
    assert "jax-cuda13-plugin 0.11.2" in key
    assert "NVIDIA H200" in key
    assert key.endswith("PJRT C API cuda 13020")


def test_a_slow_child_is_given_up_and_asked_again():
    assert "no answer within 0.2 s" in verdict(SLEEP, timeout=0.2).reason
    assert verdict(PASS).works


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\x00", '{"a": [1, 2, 3]}'])
def test_a_foreign_cache_file_is_no_verdict(content):
    path = xla_check.cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    assert verdict(PASS).works


def test_what_other_machines_found_is_kept():
    path = xla_check.cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"another": [False, "aborted"]}))
    assert verdict(PASS).works
    assert set(json.loads(path.read_text())) == {"another", xla_check.version_set()}


def test_an_unwritable_cache_is_no_obstacle(cache, monkeypatch, tmp_path):
    (cache / "file").touch()
    monkeypatch.setattr(caches.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "file"))
    assert verdict(PASS).works
    assert str(cache / "file") in caches.cache().instead
