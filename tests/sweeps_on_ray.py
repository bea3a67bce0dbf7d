"""Sweeps on a Ray cluster of two nodes on this machine, in a process of their own.

    python -m sweeps_on_ray FOLDER

Prints, as JSON by scenario, the events of each. Ray warns of sockets and files that it leaves to
the collector, which the test run would take for errors.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from report.landscape import SPACE, base

from rl_eval.records.sweep import write_sweep
from sweeps.execution.cluster import cluster
from sweeps.execution.execute import execute, items
from sweeps.execution.work import Ended, Moving
from sweeps.space.space import make_space
from sweeps.trials import plan, sweep_record

TASK = "cli.broken_runs:make"
SEEDS = (0,)


def main(folder: Path) -> None:
    from ray.cluster_utils import Cluster

    os.chdir(folder)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = nodes.add_node(num_cpus=2)
    os.mkdir("driver")
    os.chdir("driver")
    try:
        told = {"a node dies": dying_node(folder / "dying", nodes, second)}
        import ray

        ray.init(nodes.address, log_to_driver=False, logging_level="error")
        told["a run hangs, one kills, one raises"] = broken(folder / "broken", nodes.address)
        # What this path leads to depends on who asks: nodes look in a folder of their own.
        told["the directory is not shared"] = apart(Path("/proc/self/cwd/apart"), nodes.address)
        ray.shutdown()
    finally:
        nodes.shutdown()
    print(json.dumps(told))


def planned(sweep: Path, count: int):
    space = make_space({**SPACE, "ppo": {"gamma": {"uniform": [0.9, 1.0]}}}, ("adamw",), "here")
    trials = plan(space, [base("probe/landscape", "adamw")], seed=0, trials=count)
    record = sweep_record(space, trials, seeds=SEEDS, design="sobol", design_seed=0)
    write_sweep(sweep, record)
    return trials


def dying_node(sweep: Path, nodes, second):
    trials, told = planned(sweep, 5), []
    (sweep / "slow").write_text("2")
    executor = cluster(TASK, nodes.address, sweep / "workers")
    under_way = set()
    for event in execute(items(trials, SEEDS, sweep), executor):
        told.append(plain(event))
        if isinstance(event, Moving):
            under_way.add(event.item.name)
        if second and len(under_way) == 3:
            nodes.remove_node(second, allow_graceful=False)
            second = None
    return told


def broken(sweep: Path, address: str):
    trials = planned(sweep, 4)
    for how, trial in zip(("hang", "always", "error"), trials[:3], strict=True):
        (sweep / how).write_text(trial.id)
    executor = cluster(TASK, address, sweep / "workers", patience_s=6.0, retries=1)
    return [plain(event) for event in execute(items(trials, SEEDS, sweep), executor)]


def apart(sweep: Path, address: str):
    trials = planned(sweep, 2)
    executor = cluster(TASK, address, sweep / "workers")
    told = [plain(event) for event in execute(items(trials, SEEDS, sweep), executor)]
    executor = cluster(TASK, address, sweep / "workers", must_share="it must be")
    todo = items(planned(sweep, 4), SEEDS, sweep)
    return told + [plain(event) for event in execute(todo, executor)]


def plain(event):
    ended = [event.status, event.reason, event.score] if isinstance(event, Ended) else []
    return [type(event).__name__, event.item.trial, event.worker, *ended]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
