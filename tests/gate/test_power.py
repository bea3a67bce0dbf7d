"""What the power table recommends holds for gates that it did not see."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.gate import power
from rl_eval.gate.decision import PASS, REGRESSION
from rl_eval.gate.plan import Plan, plan_for

LEVELS = np.array([0.2, 0.5, 0.9, 1.4])
SPREADS = LEVELS * np.array([0.1, 0.2, 0.1, 0.05])
MARGIN = 0.25
GATES = 2000


def draw(rng, *shape):
    """Runs of the known generator: an unchanged optimizer on four envs."""
    return rng.normal(LEVELS, SPREADS, (*shape, 4))


@pytest.fixture(scope="module")
def table():
    """From a baseline of twenty recorded seeds."""
    rng = np.random.default_rng(0)
    plans = [plan_for(cap, MARGIN) for cap in (5, 10, 16, 24, 32, 48)]
    return power.power_table(draw(rng, 20), rng, plans, gates=GATES)


@pytest.mark.parametrize("lost", [np.ones(4), np.eye(4)[1]], ids=["all envs", "the noisiest"])
def test_a_loss_of_two_margins_is_missed_in_at_most_a_fifth_of_gates(table, lost):
    rng, runs = np.random.default_rng(1), table[-1].seeds
    candidate, baseline = draw(rng, GATES, runs), draw(rng, GATES, runs)
    verdicts, _ = power.run_gates(
        candidate - 2 * MARGIN * LEVELS * lost, baseline, plan_for(runs, MARGIN)
    )
    assert (verdicts != REGRESSION).mean() <= 0.2


def test_unchanged_releases_pass_and_raise_no_alarm(table):
    rng, runs = np.random.default_rng(2), table[-1].seeds
    candidate, baseline = draw(rng, GATES, runs), draw(rng, GATES, runs)
    verdicts, seeds = power.run_gates(candidate, baseline, plan_for(runs, MARGIN))
    assert (verdicts == PASS).mean() >= 0.8
    assert (verdicts == REGRESSION).mean() <= 0.01
    assert seeds.mean() < runs  # some are decided early


def test_what_the_table_says_is_what_other_gates_give(table):
    """Of the known generator, not of the twenty runs that the table had; those it widens."""
    row, rng = table[-1], np.random.default_rng(3)
    baseline = draw(rng, GATES, row.seeds)
    hit = (rng.random(baseline.shape) < power.RARE) & (np.arange(4) == 3)  # the steadiest
    verdicts, _ = power.run_gates(
        np.where(hit, 0.0, baseline), baseline, plan_for(row.seeds, MARGIN)
    )
    assert (verdicts == PASS).mean() == pytest.approx(row.rare, abs=0.04)
    assert row.misses <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / GATES)
    assert row.rare > row.misses


def test_the_table_begins_where_a_release_can_pass_and_ends_where_it_is_enough(table):
    assert table[0].seeds == 16  # of ten runs, failures of one in four stay unseen too often
    assert [power.enough(row) for row in table] == [False] * (len(table) - 1) + [True]


def test_catching_a_loss_on_one_env_is_as_likely_as_the_t_test_says():
    """One look, one env, an absolute margin: the noncentral t distribution."""
    from scipy.stats import nct, t

    recorded = np.random.default_rng(0).normal(5, 0.1, (2000, 1))
    cap = 12
    plan = Plan((cap,), margin=0.0, floor=0.06)
    got = power.power(recorded, plan, np.random.default_rng(1), gates=20_000)
    spread = np.sqrt(2) * power._widened(recorded).std()
    level = 0.05 * 2 / 3 / 2  # of score and overall, which is the same, beside failures
    expected = nct.sf(t.isf(level, cap - 1), cap - 1, 0.06 * np.sqrt(cap) / spread)
    assert got.catches == pytest.approx(expected, abs=0.015)


def test_few_recorded_seeds_ask_for_more():
    """Two seeds that happen to agree do not promise a small spread."""
    draws = (np.random.default_rng(0).normal(9, 1, size=(n, 200)) for n in (3, 300))
    wide, narrow = (np.std(power._widened(recorded) - 9) for recorded in draws)
    assert wide > 1.3 * narrow
    with pytest.raises(ValueError, match="two recorded seeds"):
        power.power(np.zeros((1, 2)), plan_for(5), np.random.default_rng(0))


def test_a_baseline_without_spread_needs_as_many_seeds_as_show_failures():
    table = power.power_table(np.full((5, 2), 1.0), np.random.default_rng(0), gates=50)
    assert [row.seeds for row in table] == [16]


def test_looks_are_at_half_three_quarters_and_all_of_the_cap():
    assert plan_for(16).looks == (8, 12, 16)
    assert plan_for(5).looks == (3, 4, 5)
    assert plan_for(3).looks == (3,)


def test_the_printed_table_names_what_it_recommends(table):
    lines = power.render(table, "a margin of 25 %").splitlines()
    assert len(lines) == len(table) + 5
    assert len({line.count("|") for line in lines[:-2]}) == 1
    assert all(len(line) <= 80 for line in lines)
    assert lines[-2].startswith("below 16 seeds none passes")
    assert lines[-1] == f"{table[-1].seeds} seeds per env reach 80% at a margin of 25 %"
    assert "are not enough for 80%" in power.render(table[:1], "")
    assert "take a wider margin" in power.render([], "")
