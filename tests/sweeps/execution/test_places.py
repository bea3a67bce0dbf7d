"""Where workers go: without these, several would fight over one GPU or one core."""

from __future__ import annotations

import json
import os
import sys

import pytest

from sweeps.execution import places as module
from sweeps.execution.places import Gpu, core_of, environment, gpus, places


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """Two GPUs and the device files that come with them."""
    monkeypatch.setattr(module, "gpu_plugin", lambda: True)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("0, GPU-8932f937", ["0", "GPU-8932f937"]),
        ("", []),
        ("-1", []),
    ],
)
def test_workers_see_the_gpus_that_this_process_may_use(devices, monkeypatch, chosen, expected):
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus(devices) == expected


def test_without_a_plugin_or_where_jax_is_told_so_there_is_no_gpu(devices, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert gpus(devices) == []
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(module, "gpu_plugin", lambda: False)
    assert gpus(devices) == []


def test_gpus_without_files_of_nvidias_driver_are_asked_for(devices, monkeypatch, tmp_path):
    """Else every core would get a worker, all of them on one card: WSL 2, other makers."""
    monkeypatch.setattr(module, "asked", lambda: ("AMD Instinct MI300X", "AMD Instinct MI300X"))
    nothing = tmp_path / "dev"
    nothing.mkdir()
    assert gpus(nothing) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus(nothing) == ["1"]
    monkeypatch.setattr(module, "asked", lambda: ())
    assert gpus(nothing) == []


def test_a_child_that_is_asked_tells_of_accelerators_alone():
    module.asked.cache_clear()
    assert module.asked() == ()
    module.asked.cache_clear()


def test_the_process_that_has_workers_keeps_off_their_gpus(devices, monkeypatch):
    told = []
    monkeypatch.setattr(module, "processor_only", lambda: told.append(1))
    monkeypatch.setattr(module, "gpus", lambda: ["0"])
    module.leave_gpus_to_workers()
    assert told
    monkeypatch.setattr(module, "gpus", list)
    module.leave_gpus_to_workers()
    assert len(told) == 1
    monkeypatch.setattr(module, "trouble", lambda: "JAX_PLATFORMS=cuda asks for cuda")
    with pytest.raises(ValueError, match="JAX_PLATFORMS=cuda asks"):
        module.leave_gpus_to_workers()


def test_a_worker_has_a_gpu_to_itself_and_no_more_are_given_out(monkeypatch):
    monkeypatch.setattr(module, "gpus", lambda: ["0", "1"])
    assert places() == [Gpu("0"), Gpu("1")]
    assert places(1) == [Gpu("0")]
    with pytest.raises(ValueError, match="there are 2 GPUs"):
        places(3)


def test_workers_share_cores_where_there_are_more_of_them(monkeypatch):
    monkeypatch.setattr(module, "gpus", list)
    monkeypatch.setattr(module, "cores", lambda: [2, 5])
    assert places() == [2, 5]
    assert places(3) == [2, 5, 2]
    with pytest.raises(ValueError, match="at least one"):
        places(0)


def test_a_worker_on_a_gpu_keeps_all_cores_and_sees_no_other_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    there = environment(Gpu("1"))
    assert there["CUDA_VISIBLE_DEVICES"] == "1"
    assert "NPROC" not in there
    assert core_of(Gpu("1")) == "-"
    assert "CUDA_VISIBLE_DEVICES" not in environment(0)
    assert environment(0)["NPROC"] == "1"
    assert core_of(0) == "0"


def test_the_process_of_a_worker_is_given_its_gpu(tmp_path, monkeypatch):
    """What a worker of two GPUs is started with, told by a stand-in for its interpreter."""
    from sweeps.execution.local import _Worker

    fake = tmp_path / "python"
    told = '{"gpu": os.environ["CUDA_VISIBLE_DEVICES"], "argv": sys.argv[1:]}'
    fake.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps({told}))\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    worker = _Worker("a:task", 1, Gpu("1"), tmp_path)
    worker.bury()
    seen = json.loads((tmp_path / "1.log").read_text())
    assert seen["gpu"] == "1"
    assert "-" in seen["argv"]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "1"
