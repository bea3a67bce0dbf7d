"""What JAX_PLATFORMS asks for is there, or named; compiled programs are found again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rl_eval import caches, devices
from rl_eval.cli.main import main


@pytest.fixture(autouse=True)
def platforms(monkeypatch):
    """A function that sets JAX_PLATFORMS; jax's own settings are only noted."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    return lambda value: monkeypatch.setenv("JAX_PLATFORMS", value)


@pytest.fixture
def updated(monkeypatch):
    found = {}

    class Config:
        jax_compilation_cache_dir = None
        update = staticmethod(found.__setitem__)

    monkeypatch.setattr(devices.jax, "config", Config)
    return found


@pytest.mark.parametrize("asked", ["cuda", "cuda,cpu", "gpu", "rocm"])
def test_a_platform_without_its_plugin_is_named_with_the_variable(platforms, monkeypatch, asked):
    platforms(asked)
    assert devices.trouble().startswith(f"JAX_PLATFORMS={asked} asks for ")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: name)
    assert devices.trouble() is None


@pytest.mark.parametrize("asked", ["", "cpu", "tpu", "nonsense"])
def test_what_jax_itself_tells_of_is_left_to_it(platforms, asked):
    platforms(asked)
    assert devices.trouble() is None


@pytest.mark.parametrize("command", ["doctor", "train --env CartPole-v1 --total-timesteps 512"])
def test_the_command_line_names_the_variable(platforms, monkeypatch, capsys, command, tmp_path):
    code = f"from rl_eval.cli.main import main; main({command.split()!r})"
    env = {"JAX_PLATFORMS": "cuda", "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith("rl-eval: JAX_PLATFORMS=cuda asks for cuda, and jax's plugin")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("asked", "then"), [("cuda", "cuda,cpu"), ("cuda,cpu", None), ("cpu", None), ("", None)]
)
def test_the_processor_is_there_beside_what_is_asked_for(platforms, updated, asked, then):
    """Without it the gate's numbers, which are the processor's, cannot be computed."""
    platforms(asked)
    devices.with_processor()
    assert updated.get("jax_platforms") == then


def test_a_process_off_the_gpus_leaves_its_children_on_them(platforms, updated, monkeypatch):
    platforms("cuda")
    devices.processor_only()
    assert updated == {"jax_platforms": "cpu"}
    assert devices.os.environ["JAX_PLATFORMS"] == "cuda"


def test_compiled_programs_are_kept_where_the_user_did_not_say(updated, monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = []
    devices.keep_compiled(told.append)
    assert updated["jax_compilation_cache_dir"] == str(caches.compiled())
    assert told == []
    monkeypatch.setattr(caches, "cache", lambda: caches.Cache(tmp_path, "there is no home folder"))
    devices.keep_compiled(told.append)
    assert told == [f"there is no home folder: what can be made again is kept in {tmp_path}"]
    updated.clear()
    devices.jax.config.jax_compilation_cache_dir = "/given"
    devices.keep_compiled(told.append)
    assert not updated


def test_a_gpu_that_is_not_told_to_repeat_itself_is_said_not_to(monkeypatch):
    kind = type("Device", (), {"device_kind": "NVIDIA H200"})
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert devices.unrepeatable() is None  # a processor does
    monkeypatch.setattr(devices.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(devices.jax, "devices", lambda: [kind])
    assert devices.unrepeatable().startswith("on NVIDIA H200 a resumed run is equal to the bit on")
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")
    assert devices.unrepeatable() is None


def test_importing_the_command_line_starts_no_device():
    code = (
        "from rl_eval.cli import main; from jax._src import xla_bridge as b; "
        "print(b.backends_are_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert main
