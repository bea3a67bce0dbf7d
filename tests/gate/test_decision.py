"""The gate's decisions, and the two errors that it promises to keep below alpha."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from rl_eval.gate import decision
from rl_eval.gate.decision import INCONCLUSIVE, PASS, REGRESSION
from rl_eval.gate.plan import Plan, kept
from rl_eval.stats import compare

ENVS = ("Asterix", "Breakout", "Freeway")
PLAN = Plan(looks=(10, 15, 20), margin=0.3)


def scores(seed, runs=20, spread=0.03):
    return np.random.default_rng(seed).normal([0.3, 0.6, 1.2], spread, (runs, 3))


def decide(candidate, baseline, ours=None, theirs=None, plan=PLAN):
    none = np.zeros(baseline.shape, bool)
    ours, theirs = none if ours is None else ours, none if theirs is None else theirs
    return decision.decide(candidate, baseline, ours, theirs, ENVS, plan)


def verdicts(found):
    return {unit.name: unit.verdict for unit in found.units}


def test_the_same_runs_pass():
    found = decide(scores(0), scores(0))
    assert found.verdict == PASS
    assert set(verdicts(found).values()) == {PASS}
    assert found.next_look is None
    assert [unit.change for unit in found.units] == [0.0] * 4


def test_unchanged_code_on_other_seeds_passes():
    assert decide(scores(1), scores(2)).verdict == PASS


def test_a_loss_everywhere_is_a_regression_everywhere():
    found = decide(0.4 * scores(1), scores(2))
    assert set(verdicts(found).values()) == {REGRESSION}
    assert found.next_look is None
    assert all(unit.upper < -unit.margin for unit in found.units)


def test_a_loss_on_one_env_is_a_regression_that_names_it():
    found = decide(scores(1) - [0.0, 0.0, 0.5], scores(2))
    assert found.verdict == REGRESSION
    assert verdicts(found) == {
        "Asterix": PASS,
        "Breakout": PASS,
        "Freeway": REGRESSION,
        "overall": PASS,
    }
    why = decision.explain(found.units[2])
    assert why.startswith("Freeway: regression: score changed by -0.")
    assert "is below the margin -0.3" in why


def test_the_margin_is_a_share_of_what_the_baseline_learned_and_told_in_returns():
    found = decide(scores(1), scores(2))
    assert [unit.margin for unit in found.units] == pytest.approx([0.09, 0.18, 0.36, 0.3], abs=0.01)
    why = decision.explain(found.units[1], (0.0, 50.0))
    assert "is above the margin -0.1" in why
    assert "(-8." in why.partition("margin")[2] or "(-9." in why.partition("margin")[2]


def test_where_next_to_nothing_was_learned_the_floor_is_the_margin():
    low = scores(1) * [0.01, 1.0, 1.0]
    units = decide(low, low).units
    assert units[0].margin == PLAN.floor
    flat = Plan(looks=(20,), margin=0.0, floor=0.1)
    assert [unit.margin for unit in decide(low, low, plan=flat).units] == pytest.approx([0.1] * 4)


def test_a_loss_of_two_fifths_of_a_small_score_does_not_pass():
    """Absolute margins of a tenth of the reference let that through."""
    baseline = scores(2, spread=0.02) * [0.8, 1.0, 1.0]  # 0.24 of the reference
    assert decide(baseline * [0.6, 1.0, 1.0], baseline).verdict == REGRESSION


def test_a_gain_passes():
    assert decide(scores(1) + 0.5, scores(2)).verdict == PASS


def test_noise_is_inconclusive_until_the_cap():
    noisy = [scores(seed, spread=0.4) for seed in (1, 2)]
    looks = [decide(*(s[:runs] for s in noisy)) for runs in PLAN.looks]
    assert [found.verdict for found in looks] == [INCONCLUSIVE] * 3
    assert [found.next_look for found in looks] == [15, 20, None]
    assert "too few seeds" in decision.explain(looks[0].units[0])


def test_few_runs_without_a_failure_do_not_pass_however_alike_they_are():
    """Nine in ten would show no failure if one run in a hundred fell to the floor; one in three of
    ten runs is what the margin allows."""
    plan = Plan(looks=(5, 40), margin=0.3)
    steady = np.broadcast_to([0.3, 0.6, 1.2], (5, 3))
    assert decide(steady, steady, plan=plan).verdict == INCONCLUSIVE


def test_a_third_of_runs_that_fell_to_the_floor_is_a_regression():
    ours = scores(1)
    ours[:8, 1] = 0.0
    found = decide(ours, scores(2))
    assert found.units[1].failed == 8
    assert found.units[1].fails_more
    assert "8 runs failed, 0 of the baseline's: more than chance" in decision.explain(
        found.units[1]
    )


def test_more_divergence_is_a_regression_even_at_equal_scores():
    ours, theirs = np.zeros((20, 3), bool), np.zeros((20, 3), bool)
    ours[:12, 1] = theirs[0, 1] = True
    found = decide(scores(0), scores(0), ours, theirs)
    assert found.verdict == REGRESSION
    assert [unit.fails_more for unit in found.units] == [False, True, False, True]
    assert verdicts(found)["Asterix"] == PASS
    assert "12 runs failed, 1 of the baseline's, 12 of them" in decision.explain(found.units[1])


def test_divergence_on_one_env_is_not_outweighed_by_less_on_another():
    ours, theirs = np.zeros((20, 3), bool), np.zeros((20, 3), bool)
    ours[:12, 1] = theirs[:12, 2] = True
    found = decide(scores(0), scores(0), ours, theirs)
    assert found.verdict == REGRESSION
    assert [unit.fails_more for unit in found.units] == [False, True, False, False]


def test_one_divergence_more_is_chance_and_fewer_are_no_harm():
    ours, theirs = np.zeros((20, 3), bool), np.zeros((20, 3), bool)
    ours[0, 0] = True
    assert decide(scores(0), scores(0), ours, theirs).verdict == PASS
    assert decide(scores(0), scores(0), theirs, ~theirs).verdict == PASS


def test_upper_bounds_below_the_margin_are_exactly_holms_rejections():
    rng = np.random.default_rng(0)
    baseline = rng.normal(1, 0.3, (2000, 20, 3))
    candidate = rng.normal(0.7, 0.3, baseline.shape) - rng.uniform(0, 0.3, (2000, 1, 3))
    found = decision.bounds(candidate, baseline, PLAN)
    values = kept(candidate, baseline, PLAN).values
    error = values.std(axis=1, ddof=1) / np.sqrt(20)
    units = compare.Difference(values.mean(axis=1), error, np.full(error.shape, 19.0))
    share = PLAN.alpha / 5  # three envs, overall, failures
    levels = np.array([PLAN.level(20, share * 4 / left) for left in (1, 2, 3, 4)])
    rejected = compare.holm(compare.p_worse(units, 0.0), levels)
    assert 0.1 < rejected.mean() < 0.9
    np.testing.assert_array_equal(found.upper < -found.margin, rejected)


def test_equal_failure_raises_no_false_alarm_over_all_looks():
    """2,000 gates of runs that fail one time in five, at scores that cannot alarm."""
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 2000, 20, 3)) < 0.2
    alarms = [
        decision.fails_more(ours[:, :look], theirs[:, :look], PLAN).any(axis=-1)
        for look in PLAN.looks
    ]
    assert np.any(alarms, axis=0).mean() <= PLAN.alpha / 5 + 3 * np.sqrt(0.01 * 0.99 / 2000)


def test_a_decision_can_be_written_as_json():
    found = decide(scores(1), scores(2))
    assert json.loads(json.dumps(dataclasses.asdict(found)))["units"][3]["name"] == "overall"


@pytest.mark.parametrize(
    ("looks", "margin", "alpha", "message"),
    [
        ((), 0.1, 0.05, "rising numbers of seeds"),
        ((5, 5), 0.1, 0.05, "rising numbers of seeds"),
        ((2, 4), 0.1, 0.05, "first look has 2 seeds"),
        ((5,), 1.0, 0.05, "margin < 1"),
        ((5,), 0.1, 0.6, "alpha < 0.5"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(looks, margin, alpha, message):
    with pytest.raises(ValueError, match=message):
        Plan(looks, margin, alpha=alpha)


def test_looking_where_no_look_was_planned_is_refused():
    with pytest.raises(ValueError, match="7 seeds per env, but the plan looks at 10, 15, 20"):
        decide(scores(0, runs=7), scores(0, runs=7))


def test_swapped_axes_and_missing_pairs_are_refused():
    with pytest.raises(ValueError, match=r"\[run, env\] with 3 envs \(Asterix, .*\(3, 20\)"):
        decide(scores(0).T, scores(0).T)
    with pytest.raises((ValueError, TypeError), match=r"run env|must all be"):
        decide(scores(0)[:9], scores(0))
