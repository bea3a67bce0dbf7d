"""The SLURM script starts a Ray cluster on its nodes, a sweep on it, and leaves nothing behind.

SLURM's commands are stand-ins that run here and now; so are `ray` and `rl-eval`, which note what
they were told.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "slurm" / "sweep.sbatch"
COMMANDS = {
    "scontrol": 'printf "one\\ntwo\\nthree\\n"',
    # Says where, and runs the command that follows the options.
    "srun": """
for option; do
  case $option in --nodelist=*) export NODE=${option#*=} ;; --*) ;; *) break ;; esac
  shift
done
exec "$@"
""",
    "hostname": 'echo "10.0.0.1 fe80::1"',
    "ray": """
if [ "$1" = status ]; then test -s "$TOLD"; exit; fi
trap 'echo "ray on $NODE: stopped" >> "$TOLD"; exit 0' TERM
echo "ray on $NODE: $*" >> "$TOLD"
while :; do sleep 0.05; done
""",
    "rl-eval": """
trap 'echo "rl-eval: stopped" >> "$TOLD"; exit 143' TERM
echo "rl-eval: $*" >> "$TOLD"
[ "$2" = quick ] && sleep 0.5 && exit 3
while :; do sleep 0.05; done
""",
}


@pytest.fixture
def start(tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "x[1-3]", "SLURM_CPUS_PER_TASK": "4"}
    paths = {"PATH": f"{commands}:{os.environ['PATH']}", "TOLD": str(tmp_path / "told")}
    return lambda *args: subprocess.Popen(["bash", SCRIPT, *args], env=os.environ | job | paths)


def told(tmp_path):
    file = tmp_path / "told"
    return file.read_text().splitlines() if file.exists() else []


def test_a_cluster_is_started_on_all_nodes_and_the_sweep_is_given_its_address(start, tmp_path):
    assert start("quick", "--trials", "8").wait(timeout=60) == 3
    said = told(tmp_path)
    assert said[0].startswith("ray on one: start --head --node-ip-address=10.0.0.1 --port=20007")
    assert "rl-eval: sweep quick --trials 8 --workers 10.0.0.1:20007" in said
    assert "ray on one: stopped" in said


def test_when_the_time_is_nearly_over_the_sweep_is_stopped_before_the_cluster(start, tmp_path):
    job = start("slow")
    while sum("start" in line or "sweep slow" in line for line in told(tmp_path)) < 4:
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == 143
    said = told(tmp_path)
    join = "start --address=10.0.0.1:20007 --num-cpus=4 --num-gpus=0 --block"
    assert {f"ray on {node}: {join}" for node in ("two", "three")} <= set(said)
    last = said[-4:]
    assert last[0] == "rl-eval: stopped"
    assert set(last[1:]) == {f"ray on {node}: stopped" for node in ("one", "two", "three")}
