"""What the power table recommends holds for gates that it did not see."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.gate import power
from rl_eval.gate.decision import PASS, REGRESSION

LEVELS = np.array([0.2, 0.5, 0.9, 1.4])
SPREADS = np.array([0.02, 0.05, 0.1, 0.06])
MARGIN = 0.1
GATES = 500


def draw(rng, *shape):
    """Runs of the known generator: an unchanged optimizer on four envs."""
    return rng.normal(LEVELS, SPREADS, (*shape, 4))


@pytest.fixture(scope="module")
def table():
    """From a baseline of ten recorded seeds."""
    rng = np.random.default_rng(0)
    return power.power_table(draw(rng, 10), MARGIN, rng, gates=500)


@pytest.mark.parametrize(
    "loss", [np.full(4, 2 * MARGIN), 2 * MARGIN * np.eye(4)[2]], ids=["all envs", "the noisiest"]
)
def test_a_loss_of_two_margins_is_missed_in_at_most_a_fifth_of_gates(table, loss):
    rng = np.random.default_rng(1)
    runs = table[-1].seeds
    plan = power.plan_for(runs, MARGIN)
    verdicts, _ = power.run_gates(draw(rng, GATES, runs) - loss, draw(rng, GATES, runs), plan)
    assert (verdicts != REGRESSION).mean() <= 0.2


def test_unchanged_releases_pass_and_raise_no_alarm(table):
    rng = np.random.default_rng(2)
    runs = table[-1].seeds
    plan = power.plan_for(runs, MARGIN)
    verdicts, seeds = power.run_gates(draw(rng, GATES, runs), draw(rng, GATES, runs), plan)
    assert (verdicts == PASS).mean() >= 0.8
    assert (verdicts == REGRESSION).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / GATES)
    assert seeds.mean() < runs  # some are decided early


def test_the_table_ends_at_the_first_number_of_seeds_that_is_enough(table):
    assert [power.enough(row) for row in table] == [False] * (len(table) - 1) + [True]
    assert table[-1].seeds > 5


def test_simulated_power_of_one_env_is_that_of_the_t_test():
    """One look, one env: an unchanged mean passes as the noncentral t distribution says."""
    from scipy.stats import nct, t

    recorded = np.random.default_rng(0).normal(0, 0.1, (2000, 1))
    cap = 12
    got = power.power(recorded, power.Plan((cap,), MARGIN), np.random.default_rng(1), gates=20_000)
    spread = np.sqrt(2) * power._widened(recorded).std()
    expected = nct.sf(t.isf(0.05, cap - 1), cap - 1, MARGIN * np.sqrt(cap) / spread)
    assert got.passes == pytest.approx(expected, abs=0.015)


def test_few_recorded_seeds_ask_for_more():
    """Two seeds that happen to agree do not promise a small spread."""
    wide, narrow = (
        np.std(power._widened(np.random.default_rng(0).normal(size=(n, 200)))) for n in (3, 300)
    )
    assert wide > 1.3 * narrow
    with pytest.raises(ValueError, match="two recorded seeds"):
        power.power(np.zeros((1, 2)), power.plan_for(5, 0.1), np.random.default_rng(0))


def test_a_baseline_without_spread_needs_the_fewest_seeds():
    table = power.power_table(np.full((5, 2), 1.0), 0.1, np.random.default_rng(0), gates=50)
    assert [row.seeds for row in table] == [3]


def test_failures_that_hide_are_those_no_seed_shows():
    row = power.power(np.zeros((3, 1)), power.plan_for(28, 0.1), np.random.default_rng(0), gates=2)
    assert (1 - row.hidden) ** 28 == pytest.approx(0.05)


def test_looks_are_at_thirds_of_the_cap_and_never_below_three_seeds():
    assert power.plan_for(15, 0.1).looks == (5, 10, 15)
    assert power.plan_for(5, 0.1).looks == (3, 5)
    assert power.plan_for(3, 0.1).looks == (3,)


def test_the_printed_table_names_what_it_recommends(table):
    lines = power.render(table, MARGIN).splitlines()
    assert len(lines) == len(table) + 3
    assert len({line.count("|") for line in lines[1:-1]}) == 1
    assert lines[-1] == f"{table[-1].seeds} seeds per env reach 80% at a margin of 0.1"
    assert "are not enough for 80%" in power.render(table[:1], MARGIN)
