"""The example's workflow does what it says: its own lines are run, for an optimizer and a fault."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from cli.processes import Commands

EXAMPLE = Path(__file__).parents[2] / "examples" / "release_gate"
WORKFLOW = EXAMPLE / ".github" / "workflows" / "release-gate.yml"


def commands_of_the_workflow():
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["gate"]["steps"]
    lines = [step.get("run", "") for step in steps]
    return [shlex.split(line) for line in lines if line.startswith("rl-eval")]


@pytest.mark.slow
def test_the_workflow_lets_the_optimizer_pass_and_stops_a_fault(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)
    commands = Commands(tmp_path)
    file = "baselines/candidate.json"
    record = ["gate", "record", "--optimizer", "candidate:make", "--tiers", "numerics"]
    code, said = commands.run(*record, "--out", file)
    assert code == 0, said

    every_change, release = commands_of_the_workflow()
    assert "--suite" in release
    code, said = commands.run(*every_change[1:])
    assert code == 0, said
    source = Path("candidate.py").read_text()
    assert "state.count / num_steps" in source
    Path("candidate.py").write_text(source.replace("state.count / num", "count / num"))
    code, said = commands.run(*every_change[1:])
    assert code == 1, said
    assert "regression   trajectory quadratic" in said
    assert "# Release gate: regression" in Path("gate/report.md").read_text()


def test_the_release_line_is_one_that_the_command_line_reads(monkeypatch, capsys):
    from rl_eval.cli.main import main

    monkeypatch.chdir(EXAMPLE)
    with pytest.raises(SystemExit):
        main(commands_of_the_workflow()[1][1:])
    assert "baselines/candidate.json: No such file" in capsys.readouterr().err
