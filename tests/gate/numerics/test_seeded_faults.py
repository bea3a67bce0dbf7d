"""One thing wrong at a time: the numerics tier must say so, and must not cry wolf."""

from __future__ import annotations

import functools
import itertools

import jax
import numpy as np
import pytest
from gate import faulty

from optimizers import weights
from rl_eval.gate import finding
from rl_eval.gate.numerics import tier
from rl_eval.gate.numerics.golden import judge, learn
from rl_eval.gate.numerics.problems import courses
from rl_eval.gate.numerics.spread import JITTER, MEMBERS
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import Runner, cpu, leaf_names, leaf_sizes

NEEDS = frozenset()
FAULTS = {
    "sign flip": {"sign": 1},
    "larger epsilon inside the root": {"eps": 1e-6},
    "no bias correction": {"bias_correction": False},
    "weight decay through the gradient": {"coupled": True},
    "schedule one step early": {"late": 1},
    "schedule one step late": {"late": -1},
}
WRITINGS = [
    dict(zip(("average_m", "average_v", "fold", "distribute", "reciprocal"), chosen, strict=True))
    for chosen in itertools.product((False, True), repeat=5)
]


def regressions(findings):
    return {f.check: f.detail for f in findings if f.verdict != "pass"}


@pytest.fixture(scope="module")
def adamw():
    return tier.record(Subject(faulty.trusted))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_adamw_changes_its_updates(adamw, fault):
    found = regressions(tier.check_updates(faulty.adamw(**FAULTS[fault]), NEEDS, adamw))
    assert found
    assert all(detail.startswith("changed: first at step") for detail in found.values())


def test_a_step_three_times_slower_costs_too_much(adamw):
    found = regressions(tier.check_cost(faulty.adamw(repeats=3), NEEDS, adamw))
    assert list(found) == ["step time"]


def test_state_kept_twice_costs_too_much(adamw):
    found = regressions(tier.check_cost(faulty.doubled_state, NEEDS, adamw))
    assert "state bytes" in found  # it may have become slower too


def test_the_same_code_is_the_same(adamw):
    findings = tier.check(Subject(faulty.trusted), adamw)
    assert finding.verdict(findings) == "pass"
    assert {f.detail for f in findings if f.check.startswith("trajectory")} == {"same"}


def test_the_same_code_passes_twenty_times_when_its_gradients_round_differently(adamw):
    with cpu():
        for course in courses(NEEDS):
            for run in Runner(faulty.trusted, NEEDS, course).jittered(20, JITTER):
                for name, sketches in run.items():
                    verdict, detail = judge(adamw.trajectories[name], sketches)
                    assert verdict == "pass", f"{name}: {detail}"


def test_twenty_writings_of_the_formula_pass(adamw):
    """Streams: what is compiled most quickly."""
    for writing in WRITINGS[:20]:
        with cpu():
            runs = Runner(faulty.adamw(**writing), NEEDS, courses(NEEDS)[0]).all()
        for name, run in runs.items():
            verdict, detail = judge(adamw.trajectories[name], run)
            assert verdict == "pass", f"{writing}: {name}: {detail}"


@pytest.fixture(scope="module")
def celo2_base():
    """Celo2-base's golden trajectories on the streams."""
    with cpu():
        runner = Runner(faulty.celo2_base, NEEDS, courses(NEEDS)[0])
        reference, others = runner.all(), runner.jittered(MEMBERS, JITTER)
    return {
        name: learn(
            run,
            {"jitter": [other[name] for other in others]},
            leaf_names(runner.course),
            leaf_sizes(runner.course),
        )[0]
        for name, run in reference.items()
    }


@pytest.mark.parametrize("fault", [faulty.swapped_rows_and_columns, faulty.larger_epsilon])
def test_a_fault_of_celo2_base_changes_its_updates(celo2_base, fault):
    with fault(), cpu():
        runs = Runner(faulty.celo2_base, NEEDS, courses(NEEDS)[0]).all()
    assert any(judge(celo2_base[name], run)[0] == "regression" for name, run in runs.items())


def test_twenty_orders_of_hidden_units_of_celo2_base_pass(celo2_base):
    name = "stream of all magnitudes"
    theta, course = weights.load(None, "celo2-base"), courses(NEEDS)[0]

    @jax.jit
    def update(order, *args):
        build = functools.partial(faulty.celo2_base, theta=faulty.permuted(theta, order))
        return Runner(build, NEEDS, course).update(*args)

    for seed in range(20):
        order = np.random.default_rng(seed).permutation(8)
        with cpu():
            runner = Runner(faulty.celo2_base, NEEDS, course)
            run = runner.one(course.names.index(name), functools.partial(update, order))
        verdict, detail = judge(celo2_base[name], run)
        assert verdict == "pass", f"{order}: {detail}"
