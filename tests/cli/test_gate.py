"""`rl-eval gate` and its pytest plugin from the command line to the files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points

import pytest
from cli.processes import Commands
from gate.examples import baseline_of

from rl_eval.cli.main import main
from rl_eval.gate import baseline
from rl_eval.gate.result import load_result

SETTINGS = ("total_timesteps=4096", "num_envs=4", "num_steps=16", "hidden_sizes=[8]", "episodes=8")
SMALL = [part for text in SETTINGS for part in ("--set", text)]
TIER = ["--tiers", "benchmark"]
WIDE = ["--margin", "0", "--margin-floor", "0.9"]  # which three seeds can show
MODULE = """
import optax
import core

def scaled(num_steps):
    return same(num_steps, learning_rate=2.5e-4 * core.SCALE)

def raises():
    raise RuntimeError("no such rule")

def same(num_steps, learning_rate=2.5e-4, eps=1e-5, weight_decay=0.0):
    schedule = optax.linear_schedule(learning_rate, 0.0, num_steps)
    return optax.adamw(schedule, eps=eps, weight_decay=weight_decay)

def other(num_steps):
    return same(num_steps, eps=1e-7)

def breaks(num_steps):
    if num_steps > 1000:
        raise RuntimeError("no schedule is that long")
    return optax.sgd(0.1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where commands are run: `candidates` can be imported there."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "candidates.py").write_text(MODULE)
    (folder / "core.py").write_text("SCALE = 1.0\n")
    return folder


@pytest.fixture(scope="module")
def commands(folder):
    commands = Commands(folder)
    commands.env["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return commands


@pytest.fixture(scope="module")
def recorded(commands, folder):
    """A baseline whose recording was killed once."""
    file = folder / "baseline.json"
    args = ["gate", "record", "--optimizer", "adamw", "--suite", "CartPole-v1", *TIER, *SMALL]
    args += ["--seeds", "3", "--workers", "1", "--out", str(file)]
    command = commands.start(*args)
    while command.alive and not ended(folder / "baseline-work"):
        time.sleep(0.05)
    command.send_signal(signal.SIGKILL)
    command.wait()
    before = ended(folder / "baseline-work")
    assert before
    assert not file.exists()
    code, said = commands.run(*args)
    assert code == 0, said
    after = ended(folder / "baseline-work")
    assert set(before) <= set(after)  # the last may be made again: killed before its list was kept
    assert len(after) == 3
    return file


def ended(work):
    """When each run that has ended did."""
    files = work.glob("*/trials/*/*/status.json")
    found = {file: json.loads(file.read_text()) for file in files}
    return {file: facts["time"] for file, facts in found.items() if facts["status"] == "completed"}


def check(commands, recorded, candidate, *more):
    out = recorded.parent / f"report-{candidate.partition(':')[2] or candidate}"
    code, said = commands.run(
        "gate", "check", "--baseline", str(recorded), "--candidate", candidate, *TIER, *SMALL,
        "--workers", "1", "--out", str(out), *more,
    )  # fmt: skip
    return code, said, out


@pytest.mark.slow
def test_the_same_update_from_elsewhere_passes_with_a_full_report(commands, recorded):
    code, said, out = check(commands, recorded, "candidates:same", *WIDE)
    assert code == 0, said
    result = load_result(out / "report.json")
    assert result.verdict == "pass"
    assert result.comparisons[0].candidate == result.comparisons[0].baseline
    assert any("code or weights are new: module candidates" in note for note in result.notes)
    assert result.skipped == ("numerics", "probes")
    assert "does not say that it may ship" in said
    assert {"report.md", "report.png", "junit.xml"} <= {path.name for path in out.iterdir()}
    code, said = commands.run("gate", "explain", str(out / "report.json"))
    assert code == 0
    assert said.startswith("candidates:same: pass")
    assert "seeds that lost most" in said
    assert "10,000 simulated gates" in said


@pytest.mark.slow
def test_noise_is_inconclusive_and_a_candidate_that_fails_a_regression(commands, recorded):
    code, said, out = check(commands, recorded, "candidates:other", "--margin", "1e-6")
    assert code == 4, said
    assert load_result(out / "report.json").verdict == "inconclusive"
    code, said, out = check(commands, recorded, "candidates:breaks")
    assert code == 1, said
    (finding,) = load_result(out / "report.json").findings
    assert "no schedule is that long" in finding.detail


@pytest.mark.slow  # two checks of three runs each
def test_runs_of_a_module_whose_neighbour_changed_are_not_used_again(commands, recorded, folder):
    code, said, out = check(commands, recorded, "candidates:scaled", *WIDE)
    assert code == 0, said
    (folder / "core.py").write_text("SCALE = 0.0\n")
    code, said, _ = check(commands, recorded, "candidates:scaled", *WIDE)
    (folder / "core.py").write_text("SCALE = 1.0\n")
    result = load_result(out / "report.json")
    assert result.comparisons[0].candidate != result.comparisons[0].baseline
    assert any("module core" in note for note in result.notes)


def test_a_candidate_that_raises_gets_a_report(commands, recorded):
    code, said, out = check(commands, recorded, "candidates:raises")
    assert code == 1, said
    assert "no such rule" in load_result(out / "report.json").findings[0].detail
    assert (out / "junit.xml").is_file()


@pytest.mark.slow
def test_findings_are_items_of_pytest(commands, recorded):
    folder = recorded.parent
    test = folder / "test_own.py"
    test.write_text("def test_own():\n    pass\n")
    installed = any("rl_eval" in point.value for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "rl_eval.gate.pytest_plugin"]
    sets = [part.replace("--set", "--gate-set") for part in SMALL]
    command = [sys.executable, "-W", "error", "-m", "pytest", "-v", *plugin, str(test), *sets]
    own = ["--rootdir", str(folder), "-c", os.devnull]

    floor = ["--gate-margin-floor", "0.9"]

    def said(*args):
        line = [*command, *own, "--gate-tiers", "benchmark", "--gate-margin", "0", *floor, *args]
        done = subprocess.run(
            line, cwd=folder, env=commands.env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    given = ["--baseline", str(recorded), "--optimizer"]
    code, text = said()
    assert code == 0, text
    assert "1 passed" in text
    code, text = said(*given, "candidates:same")
    assert code == 0, text
    assert "benchmark: CartPole-v1 PASSED" in text
    assert "2 passed" in text
    code, text = said(*given, "candidates:breaks")
    assert code == 1, text
    assert "regression: CartPole-v1 seed 0 failed" in text
    assert "1 failed, 1 passed" in text
    code, text = said(*given, "candidates:same", "--collect-only", "-k", "benchmark")
    assert code == 0, text
    assert "benchmark: all" in text
    for wrong in (["--optimizer", "adamw"], [*given, "nobody"]):
        code, text = said(*wrong)
        assert code == 4, text
        assert "Traceback" not in text


def stopped_with(args, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["gate", *args])
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    return stopped.value.code, captured.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--tiers", "numeric"], "did you mean numerics?"),
        (["--tiers", "numerics"], "has no numerics; it has benchmark"),
        (["--suite", "quick", *TIER], "suite is CartPole-v1,Acrobot-v1 in the baseline and quick"),
        ([*TIER, "--set", "num_envs=8"], "of CartPole-v1, ppo.num_envs is 4 in the baseline and 8"),
        ([*TIER, "--set", "total_timesteps=1e6"], "total_timesteps is 500000 in the baseline"),
        ([*TIER, "--set", "nothing=1"], "unknown key nothing"),
        ([*TIER, "--seeds", "4"], "the baseline has 3"),
        ([*TIER, "--margin", "1"], "margin < 1"),
        ([*TIER, "--workers", "0"], "at least one"),
        ([*TIER, "--candidate", "adamww"], "did you mean adamw"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    baseline.write(tmp_path / "b.json", baseline_of())
    code, said = stopped_with(
        ["check", "--baseline", "b.json", "--candidate", "adamw", *args], capsys
    )
    assert code == 2
    assert words in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--optimizer", "adamw", "--out", "b.json"], "--overwrite replaces it"),
        (["--optimizer", "nobody", "--out", "c.json"], "unknown optimizer 'nobody'"),
        (["--optimizer", "adamw", "--out", "c.json", "--seeds", "2"], "at least 3 different"),
        (["--optimizer", "adamw", "--out", "c.json", "--suite", "Seaquest-MinAtar"], "normalise"),
        (["--optimizer", "adamw", "--out", "c.json", "--learning-rates", "0"], "such as 1e-4"),
    ],
)
def test_what_cannot_be_recorded_is_said_in_one_line(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    baseline.write(tmp_path / "b.json", baseline_of())
    code, said = stopped_with(["record", *args], capsys)
    assert code == 2
    assert words in said
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_a_changed_baseline_is_refused(capsys, tmp_path):
    file = tmp_path / "b.json"
    baseline.write(file, baseline_of())
    file.write_text(file.read_text().replace("0.85", "0.95").replace("0.9", "0.8"))
    code, said = stopped_with(["check", "--baseline", str(file), "--candidate", "adamw"], capsys)
    assert code == 1
    assert "changed after it was recorded" in said


def test_a_missing_baseline_is_wrong_usage_and_no_regression(capsys, tmp_path):
    file = tmp_path / "nowhere.json"
    code, said = stopped_with(["check", "--baseline", str(file), "--candidate", "adamw"], capsys)
    assert code == 2
    assert "nowhere.json: No such file" in said


def test_power_is_told_for_baselines_with_the_suite(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    baseline.write(tmp_path / "baselines" / "b.json", baseline_of())
    suite = baseline_of().benchmark.suite
    with pytest.raises(SystemExit) as stopped:
        main(["gate", "power", "--suite", suite, "--margin", "0.5"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "CartPole-v1: 0.600 +- 0.100" in said
    assert "seeds per env reach 80%" in said
    code, said = stopped_with(["power", "--suite", "minatar-4"], capsys)
    assert code == 2
    assert "no baseline with the suite minatar-4" in said
