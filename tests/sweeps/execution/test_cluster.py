"""A sweep on Ray: two nodes of which one is killed, bad runs, a directory that is not shared."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from rl_eval.records.table import read_table
from sweeps.execution.cluster import ClusterError, _environment, _fits, cluster
from sweeps.execution.node import record

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is missing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def told(folder):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "sweeps_on_ray", str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def endings(events):
    """By trial, and each once."""
    ended = [event for event in events if event[0] == "Ended"]
    found = {trial: ending for _, trial, _, *ending in ended}
    assert len(found) == len(ended)
    return found


def scores(sweep):
    table = read_table(sweep)
    assert table.problems == ()
    return {row.id: (row.seeds[0].status, row.objective) for row in table.rows}


@pytest.mark.slow
def test_a_node_that_dies_costs_no_trial_and_none_is_there_twice(told, folder):
    events, sweep = told["a node dies"], folder / "dying"
    ended, recorded = endings(events), scores(sweep)
    assert {t: (e[0], e[2]) for t, e in ended.items()} == recorded
    assert len(recorded) == 5
    assert {status for status, _ in recorded.values()} == {"completed", "diverged"}
    tries = (sweep / "tries").read_text().split()
    assert len(set(tries)) == 5
    assert 1 <= len(tries) - 5 <= 2  # what the node was at was begun once more
    assert not list(sweep.glob("workers/*"))


@pytest.mark.slow
def test_bad_runs_fail_with_the_reason_and_the_rest_goes_on(told, folder):
    hung, killed, raised, fine = scores(folder / "broken")
    ended = endings(told["a run hangs, one kills, one raises"])
    for trial in (hung, killed):
        assert ended[trial][0] == "failed"
        assert ended[trial][1].startswith("WorkerCrashedError")
        assert ended[trial][1].endswith("(2 tries)")
    assert ended[raised] == ["failed", "ValueError: what a run cannot do", None]
    assert ended[fine][0] == "completed"
    tries = (folder / "broken" / "tries").read_text().split()
    assert tries.count(f"{hung}/seed-0") == tries.count(f"{killed}/seed-0") == 2
    assert tries.count(f"{raised}/seed-0") == 1


@pytest.mark.slow
def test_records_come_back_from_nodes_that_do_not_share_the_directory(told, folder):
    sweep = folder / "driver" / "apart"
    assert not (sweep / "tries").exists()  # it ran elsewhere
    ended, recorded = endings(told["the directory is not shared"]), scores(sweep)
    refused = {t for t, e in ended.items() if e[0] == "failed"}
    assert len(refused) == 2
    assert {ended[t][1] for t in refused} == {"it must be, and this node does not see it"}
    assert {t: (e[0], e[2]) for t, e in ended.items()} == recorded
    for trial in set(recorded) - refused:
        assert len((sweep / "trials" / trial / "seed-0" / "eval.jsonl").read_bytes()) > 1000


def test_a_record_speaks_of_the_planned_directory_and_leaves_checkpoints(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "1.json").write_text("{}")
    (tmp_path / "status.json").write_text(json.dumps({"run_dir": str(tmp_path)}))
    found = record(tmp_path, tmp_path / "planned")
    assert list(found) == ["status.json"]
    assert json.loads(found["status.json"]) == {"run_dir": str(tmp_path / "planned")}


def test_tasks_compute_in_as_many_threads_as_they_have_cores(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    one, half = _environment(1.0, 0.0), _environment(4.0, 0.5)
    assert (one["NPROC"], one["OMP_NUM_THREADS"], one["JAX_PLATFORMS"]) == ("1", "1", "cpu")
    assert "--xla_cpu_multi_thread_eigen=false" in one["XLA_FLAGS"]
    assert half["NPROC"] == "4"
    assert "JAX_PLATFORMS" not in half
    assert half["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.450"
    assert sys.prefix not in one["PYTHONPATH"]


def test_a_task_fits_where_there_is_enough_of_everything():
    node = {"CPU": 8.0, "GPU": 2.0}
    assert [_fits(node, 1.0, 0.0), _fits(node, 1.0, 0.25), _fits(node, 3.0, 0.1)] == [8, 8, 2]
    assert _fits({"CPU": 8.0}, 1.0, 1.0) == 0


def test_without_ray_a_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install 'rl-eval\[ray\]'"):
        list(cluster("x:y", "local", tmp_path)([]))
    assert list(tmp_path.iterdir()) == []
