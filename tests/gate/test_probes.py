"""The second tier: levels of the probes, and a run that is stopped in the middle."""

from __future__ import annotations

import json

import pytest
from gate.examples import runs_of
from rich.console import Console

from rl_eval.gate import probes, protocol
from rl_eval.gate.protocol import Task, score
from sweeps.gate.contender import contender
from sweeps.gate.runs import runs_of as runs_in
from sweeps.gate.units import plan


def test_what_a_probe_is_worth():
    assert score("probe/action", -0.5, 9.0) == -0.5
    assert score("probe/constant", 1.0, 0.0) == 1.0
    assert score("probe/constant", 1.0, 0.5) == 0.0  # half the square of predicting 0 for 1
    assert score("probe/two-step", 1.0, 0.01) == pytest.approx(0.98)
    assert score("probe/two-step", 1.0, None) == 0.0
    assert score("CartPole-v1", 500.0, 3.0) == 1.0


@pytest.mark.parametrize(
    ("candidate", "diverged", "verdict"),
    [
        ((1.0, 1.0, 0.1), (), "pass"),  # the baseline did not learn it with the third seed either
        ((0.95, 1.0, 1.0), (), "pass"),
        ((1.0, 0.8, 0.0), (), "regression"),
        ((1.0, 1.0, 1.0), (0,), "regression"),
    ],
)
def test_a_probe_passes_what_the_baseline_passed(candidate, diverged, verdict):
    baseline = runs_of((1.0, 0.97, 0.0))
    finding = probes.level("probe/both", runs_of(candidate, diverged), baseline)
    assert (finding.check, finding.verdict) == ("probe/both", verdict)


def run_at(folder, loss=0.5, games=(9.0, 10.0), at=4):
    folder.mkdir()
    row = {"iteration": 9, "loss": loss, "param_norm": 1.0}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "resumes.jsonl").write_text(json.dumps({"iteration": at}) + "\n")
    (folder / "eval.jsonl").write_text(json.dumps({"returns": games}) + "\n")
    return folder


def test_a_stopped_run_must_end_to_the_last_digit_as_the_whole_one(tmp_path):
    whole, same = run_at(tmp_path / "whole"), run_at(tmp_path / "same")
    other = run_at(tmp_path / "other", loss=0.5 + 1e-16 + 1e-12)
    assert probes.resumed(whole, same, True).verdict == "pass"
    found = probes.resumed(whole, other, True)
    assert found.verdict == "regression"
    assert "not all of the optimizer's state is saved" in found.detail


def test_where_numbers_do_not_repeat_a_stopped_run_says_nothing(tmp_path):
    whole, other = run_at(tmp_path / "whole"), run_at(tmp_path / "other", loss=0.6)
    found = probes.resumed(whole, other, False)
    assert found.verdict == "skipped"
    assert "not compared" in found.detail


def test_a_run_that_was_not_stopped_in_the_middle_says_nothing(tmp_path):
    whole, late = run_at(tmp_path / "whole"), run_at(tmp_path / "late", at=9)
    found = probes.resumed(whole, late, True)
    assert found.verdict == "inconclusive"
    assert "9 iterations and was not stopped" in found.detail


FORGETFUL = """
import jax, numpy as np, optax

momentum = {}  # outside of the state: gone with the process

def average(updates):
    old = momentum.get("m") or [np.zeros_like(u) for u in updates]
    momentum["m"] = [0.9 * o + np.asarray(u) for o, u in zip(old, updates)]
    return momentum["m"]

def make(learning_rate=0.01):
    def update(updates, state, params=None):
        leaves, tree = jax.tree.flatten(updates)
        shapes = [jax.ShapeDtypeStruct(u.shape, u.dtype) for u in leaves]
        found = jax.experimental.io_callback(average, shapes, leaves)
        return jax.tree.unflatten(tree, [-learning_rate * u for u in found]), state
    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
"""
KEEPING = """
import optax

def make(learning_rate=0.01):
    return optax.sgd(learning_rate, momentum=0.9)
"""
SMALL = ("num_envs=4", "num_steps=16", "hidden_sizes=[8]", "episodes=8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "verdict"),
    [(FORGETFUL, "regression"), (KEEPING, "pass")],
    ids=["forgetful", "keeping"],
)
def test_momentum_that_is_lost_on_resume_is_caught(source, verdict, tmp_path, monkeypatch):
    name = f"an_optimizer_that_is_a_{verdict}"
    (tmp_path / f"{name}.py").write_text("import jax.experimental\n" + source)
    monkeypatch.chdir(tmp_path)
    who = contender(f"{name}:make", {})
    (unit,) = plan(who.name, [Task(protocol.RESUMED, 1280)], SMALL)
    runs = runs_in(who, tmp_path / "work", 1, Console(stderr=True))
    runs.of([unit], [0])
    stopped = runs.stopped(unit, 0)
    assert probes.resumed(runs.directory(unit, 0), stopped, True).verdict == verdict


def test_the_resumed_run_is_among_the_probes():
    assert protocol.RESUMED in {task.env for task in protocol.probes()}
