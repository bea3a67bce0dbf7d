"""The baselines that ship can be used by this version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from optimizers import weights
from rl_eval.gate import protocol
from rl_eval.gate.baseline import load
from sweeps.gate.units import plan_again

FILES = sorted((Path(__file__).parents[2] / "baselines").glob("*.json"))


def test_some_ship():
    assert {file.name for file in FILES} >= {
        "adamw-0.1.json",
        "adamw-0.2.json",
        "celo2-0.1.json",
        "celo2-base-0.1.json",
        "celo2-base-0.2.json",
        "celo2-base-0.3.json",
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_baseline_is_of_this_protocol_and_of_runs_that_learned(file):
    known = load(file)
    assert file.match(f"{known.release.optimizer}-0.?.json")
    assert known.tiers == ("numerics", "probes", "benchmark")
    assert known.benchmark.suite == "quick"
    name = known.release.optimizer
    for scores in (known.probes, known.benchmark):
        planned, lacking = plan_again(name, (), scores)
        assert [unit.given for unit in planned] == [unit.given for unit in scores.units]
        assert not lacking
        assert not any(run.diverged for unit in scores.units for run in unit.runs)
    assert known.probes.resumes_exactly
    assert all(
        run.score >= protocol.LEARNED
        for unit in known.probes.units
        if protocol.is_probe(unit.config.env.id)
        for run in unit.runs
    )


@pytest.mark.parametrize("name", ["celo2", "celo2-base"])
def test_the_newest_baseline_is_of_the_weights_that_ship(name):
    newest = load([file for file in FILES if file.match(f"{name}-0.?.json")][-1])
    assert newest.release.weights["sha256"] == weights.manifest()[name]["sha256"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_path_of_a_machine_is_in_a_shipped_baseline(file):
    assert not re.search(r"[\" =]/\w", file.read_text())
