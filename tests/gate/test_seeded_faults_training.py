"""The tiers that train: faults are caught by the one named, and nothing else raises an alarm.

AdamW on CartPole at two learning rates, each a unit of its own: at the lower one learning is slow,
at the higher one it is on the edge. Twenty-four seeds, as many as the
gate recommends, are one population.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from gate.training import train

from rl_eval.gate import protocol
from rl_eval.gate.plan import plan_for
from rl_eval.gate.result import compare

RATES = (8e-4, 0.12)
NAMES = [f"CartPole-v1 at {rate:g}" for rate in RATES]
SEEDS, OTHERS = range(24), range(24, 48)
SCALES = [protocol.scale("CartPole-v1")] * len(RATES)
PLAN = plan_for(len(SEEDS))


def runs(seeds, factor=1.0, wrap=None):
    return [train(seeds, factor * rate, wrap) for rate in RATES]


def gate(candidate, baseline):
    """The last decision of the benchmark tier, which looks as its plan says."""
    for look in PLAN.looks:
        ours, theirs = ([unit[:look] for unit in side] for side in (candidate, baseline))
        decision, comparison, findings = compare("benchmark", "", NAMES, ours, theirs, PLAN, SCALES)
        if decision.next_look is None:
            break
    return decision.verdict, comparison, findings


@pytest.fixture(scope="module")
def baseline():
    return runs(SEEDS)


@pytest.fixture(scope="module")
def other_seeds():
    return runs(OTHERS)


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "unit"), [(0.3, 0), (3.0, 1)])
def test_another_learning_rate_is_caught_by_the_benchmark(baseline, factor, unit):
    verdict, comparison, findings = gate(runs(SEEDS, factor), baseline)
    assert verdict == "regression"
    caught = [finding.check for finding in findings if finding.verdict == "regression"]
    assert NAMES[unit] in caught
    assert comparison.rows[unit].improves < 0.2


def nan_after_1000_steps(optimizer):
    """Steps of an optimizer that counts, and breaks."""

    def init(params):
        return jnp.int32(0), optimizer.init(params)

    def update(grads, state, params=None, **extra):
        updates, inner = optimizer.update(grads, state[1], params, **extra)
        broken = jnp.where(state[0] >= 1000, jnp.nan, 0.0)
        return jax.tree.map(lambda u: u + broken, updates), (state[0] + 1, inner)

    return optax.GradientTransformationExtraArgs(init, update)


@pytest.mark.slow
def test_nan_after_1000_steps_is_caught_and_its_divergence_counted(baseline):
    verdict, comparison, findings = gate(runs(SEEDS, wrap=nan_after_1000_steps), baseline)
    assert verdict == "regression"
    assert {finding.verdict for finding in findings} == {"regression"}
    seeds = len(comparison.seeds)
    assert [row.diverged for row in comparison.rows] == [seeds, seeds, 2 * seeds]


@pytest.mark.slow
def test_the_same_code_again_passes_20_of_20(baseline):
    again, rng = runs(SEEDS), np.random.default_rng(0)
    assert again == baseline
    for _ in range(20):
        order = rng.permutation(len(SEEDS))
        sides = ([[unit[i] for i in order] for unit in side] for side in (again, baseline))
        verdict, comparison, _ = gate(*sides)
        assert verdict == "pass"
        assert len(comparison.seeds) in PLAN.looks


@pytest.mark.slow
def test_another_seed_set_raises_no_alarm_20_of_20(baseline, other_seeds):
    everyone = [a + b for a, b in zip(baseline, other_seeds, strict=True)]
    rng, verdicts = np.random.default_rng(0), []
    for _ in range(20):
        order = rng.permutation(len(everyone[0]))
        halves = order[: len(SEEDS)], order[len(SEEDS) :]
        verdicts.append(
            gate(*([[unit[i] for i in half] for unit in everyone] for half in halves))[0]
        )
    assert verdicts.count("regression") == 0
    assert verdicts.count("pass") >= 16
