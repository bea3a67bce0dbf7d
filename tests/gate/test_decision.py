"""The gate's decisions, and the two errors that it promises to keep below alpha."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from rl_eval.gate import decision
from rl_eval.gate.decision import INCONCLUSIVE, PASS, REGRESSION, Plan
from rl_eval.gate.power import run_gates
from rl_eval.stats import compare

ENVS = ("Asterix", "Breakout", "Freeway")
PLAN = Plan(looks=(5, 10, 15), margin=0.1)
GATES = 500
ALLOWED = PLAN.alpha + 2 * np.sqrt(PLAN.alpha * (1 - PLAN.alpha) / GATES)


def scores(seed, runs=10, spread=0.03):
    return np.random.default_rng(seed).normal([0.3, 0.6, 1.2], spread, (runs, 3))


def decide(candidate, baseline, ours=None, theirs=None, plan=PLAN):
    none = np.zeros(baseline.shape, bool)
    ours, theirs = none if ours is None else ours, none if theirs is None else theirs
    return decision.decide(candidate, baseline, ours, theirs, ENVS, plan)


def verdicts(found):
    return {unit.name: unit.verdict for unit in found.units}


def test_the_same_runs_pass_at_the_first_look():
    found = decide(scores(0, runs=5), scores(0, runs=5))
    assert found.verdict == PASS
    assert set(verdicts(found).values()) == {PASS}
    assert found.next_look is None
    assert [unit.change for unit in found.units] == [0.0] * 4


def test_unchanged_code_on_other_seeds_passes():
    assert decide(scores(1), scores(2)).verdict == PASS


def test_a_loss_everywhere_is_a_regression_everywhere():
    found = decide(scores(1) - 0.25, scores(2))
    assert set(verdicts(found).values()) == {REGRESSION}
    assert found.next_look is None
    assert all(unit.upper < -0.1 for unit in found.units)


def test_a_loss_on_one_env_is_a_regression_that_names_it():
    """The top env, whose scores the interquartile mean over all envs cuts away."""
    found = decide(scores(1) - [0.0, 0.0, 0.3], scores(2))
    assert found.verdict == REGRESSION
    assert verdicts(found) == {
        "Asterix": PASS,
        "Breakout": PASS,
        "Freeway": REGRESSION,
        "overall": PASS,
    }
    why = decision.explain(found.units[2], PLAN)
    assert why.startswith("Freeway: regression: score changed by -0.")
    assert "is below -0.1" in why


def test_a_gain_passes():
    assert decide(scores(1) + 0.5, scores(2)).verdict == PASS


def test_noise_is_inconclusive_until_the_cap():
    noisy = [scores(seed, runs=15, spread=0.4) for seed in (1, 2)]
    looks = [decide(*(s[:runs] for s in noisy)) for runs in PLAN.looks]
    assert [found.verdict for found in looks] == [INCONCLUSIVE] * 3
    assert [found.next_look for found in looks] == [10, 15, None]
    assert "too few seeds" in decision.explain(looks[0].units[0], PLAN)


def test_more_divergence_is_a_regression_even_at_equal_scores():
    ours, theirs = np.zeros((15, 3), bool), np.zeros((15, 3), bool)
    ours[:12, 1] = theirs[0, 1] = True
    found = decide(scores(0, runs=15), scores(0, runs=15), ours, theirs)
    assert found.verdict == REGRESSION
    assert [unit.diverges_more for unit in found.units] == [False, True, False, True]
    assert verdicts(found)["Asterix"] == PASS
    assert "12 runs diverged, 1 of the baseline's" in decision.explain(found.units[1], PLAN)


def test_divergence_on_one_env_is_not_outweighed_by_less_on_another():
    ours, theirs = np.zeros((15, 3), bool), np.zeros((15, 3), bool)
    ours[:10, 1] = theirs[:10, 2] = True
    found = decide(scores(0, runs=15), scores(0, runs=15), ours, theirs)
    assert found.verdict == REGRESSION
    assert [unit.diverges_more for unit in found.units] == [False, True, False, False]


def test_one_divergence_more_is_chance_and_fewer_are_no_harm():
    ours, theirs = np.zeros((10, 3), bool), np.zeros((10, 3), bool)
    ours[0, 0] = True
    assert decide(scores(0), scores(0), ours, theirs).verdict == PASS
    assert decide(scores(0), scores(0), theirs, ~theirs).verdict == PASS


def test_upper_bounds_below_the_margin_are_exactly_holms_rejections():
    rng = np.random.default_rng(0)
    baseline = rng.normal(0, 0.1, (2000, 15, 3))
    candidate = rng.normal(-0.1, 0.1, baseline.shape) - rng.uniform(0, 0.2, (2000, 1, 3))
    found = decision.bounds(candidate, baseline, PLAN)
    per_env = compare.mean_difference(candidate, baseline)
    overall = compare.iqm_difference(candidate, baseline)
    p_values = np.column_stack([compare.p_worse(d, PLAN.margin) for d in (per_env, overall)])
    share = PLAN.alpha / 5  # three envs, overall, divergence
    levels = np.array([PLAN.level(15, share * 4 / left) for left in (1, 2, 3, 4)])
    rejected = compare.holm(p_values, levels)
    assert 0.1 < rejected.mean() < 0.9
    np.testing.assert_array_equal(found.upper < -PLAN.margin, rejected)
    np.testing.assert_array_equal(
        found.lower[:, :3] > -PLAN.margin,
        compare.p_no_worse(per_env, PLAN.margin) < PLAN.level(15, PLAN.alpha),
    )


def normal(rng, shape):
    return rng.normal(0, 0.1, shape)


def skewed(rng, shape):
    return 0.05 * np.exp(rng.normal(0, 1, shape))


def collapsing(rng, shape):
    return rng.normal(0, 0.05, shape) - 0.6 * (rng.random(shape) < 0.15)


@pytest.mark.parametrize("looks", [(3,), (5, 10, 15), (4, 8, 12, 16, 20)])
@pytest.mark.parametrize("noise", [normal, skewed, collapsing])
def test_errors_at_the_margin_stay_below_alpha_over_all_envs_and_looks(noise, looks):
    """The least favourable truth: a loss of exactly the margin is no regression, and no pass.

    On all envs for false alarms; for false passes on one env, where the others cannot help.
    """
    plan = dataclasses.replace(PLAN, looks=looks)
    rng = np.random.default_rng(len(looks))
    shape = (GATES, looks[-1], 4)
    levels = np.array([0.2, 0.5, 0.9, 1.4])

    def gates(loss):
        return run_gates(noise(rng, shape) + levels - loss, noise(rng, shape) + levels, plan)[0]

    assert (gates(np.full(4, plan.margin)) == REGRESSION).mean() <= ALLOWED
    assert (gates(plan.margin * np.array([0, 0, 1, 0])) == PASS).mean() <= ALLOWED


def test_equal_divergence_raises_no_false_alarm_over_all_looks():
    """300 gates of runs that diverge one time in five, at scores that cannot alarm."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        ours, theirs = rng.random((2, 15, 3)) < 0.2
        alarms += any(
            decision.diverges_more(ours[:look], theirs[:look], PLAN).any() for look in PLAN.looks
        )
    assert alarms / 300 <= PLAN.alpha / 5 + 2 * np.sqrt(0.01 * 0.99 / 300)


def test_a_decision_can_be_written_as_json():
    found = decide(scores(1), scores(2))
    assert json.loads(json.dumps(dataclasses.asdict(found)))["units"][3]["name"] == "overall"


@pytest.mark.parametrize(
    ("looks", "margin", "alpha", "message"),
    [
        ((), 0.1, 0.05, "rising numbers of seeds"),
        ((5, 5), 0.1, 0.05, "rising numbers of seeds"),
        ((2, 4), 0.1, 0.05, "first look has 2 seeds"),
        ((5,), 0.0, 0.05, "margin > 0"),
        ((5,), 0.1, 0.6, "alpha < 0.5"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(looks, margin, alpha, message):
    with pytest.raises(ValueError, match=message):
        Plan(looks, margin, alpha)


def test_looking_where_no_look_was_planned_is_refused():
    with pytest.raises(ValueError, match="7 seeds per env, but the plan looks at 5, 10, 15"):
        decide(scores(0, runs=7), scores(0, runs=7))


def test_swapped_axes_and_missing_pairs_are_refused():
    with pytest.raises(ValueError, match=r"\[run, env\] with 3 envs \(Asterix, .*\(3, 10\)"):
        decide(scores(0).T, scores(0).T)
    with pytest.raises((ValueError, TypeError), match=r"run env|must all be"):
        decide(scores(0)[:9], scores(0))
