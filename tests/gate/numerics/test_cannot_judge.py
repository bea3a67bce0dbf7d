"""A tolerance that lets a frozen leaf pass is no tolerance: the gate says that it cannot judge."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import optax
import pytest

from rl_eval.gate.numerics import tier
from rl_eval.gate.numerics.axes.alone import judge_effects
from rl_eval.gate.numerics.axes.checked import judge_all
from rl_eval.gate.numerics.axes.sheet import Sheet
from rl_eval.gate.numerics.golden import learn, unjudged, unjudged_in_all
from rl_eval.gate.numerics.problems import courses
from rl_eval.gate.numerics.spread import variants
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import Runner, cpu

LEAVES, SIZES = ("bias", "kernel"), (1, 2)
RUN = np.array([[1.0, 2.0, -2.0], [1.0, 2.0, -4.0], [0.5, 1.0, 1.0], [0.5, 1.0, 1.0]])
NETWORK = frozenset({"activations"})  # a rule that has them runs on one course only: quick


def apart(by):
    """The record of a run whose bias was off by so much, from the first step on, another time."""
    other = RUN.copy()
    other[:, 0] += by
    return learn(RUN, {"others": [other]}, LEAVES, SIZES)[0]


def test_a_leaf_is_judged_while_its_tolerance_is_below_half_an_update():
    assert unjudged(apart(0.01)) == ()
    assert unjudged(apart(0.2)) == ("bias",)  # ten times as much is allowed: twice the update


def test_one_step_that_can_be_judged_is_enough_unless_all_must_be():
    late = RUN.copy()
    late[2:, 0] += 0.2
    known = learn(RUN, {"others": [late]}, LEAVES, SIZES)[0]
    assert unjudged(known) == ()
    assert unjudged(known, always=True) == ("bias",)


def test_a_leaf_that_another_run_on_the_same_tree_judges_is_judged():
    assert unjudged_in_all([apart(0.2), apart(0.01)]) == ()
    assert unjudged_in_all([apart(0.2), apart(0.3)]) == ("bias",)
    runs = {"vague": apart(0.2), "clear": apart(0.01)}
    told = judge_all("axis", runs, Sheet(LEAVES, SIZES, dict.fromkeys(runs, RUN)))
    assert told == ("pass", "same in 2 runs; cannot judge vague, leaf bias")


def test_a_leaf_that_never_moves_needs_no_judge():
    still = np.zeros_like(RUN)
    assert unjudged(learn(still, {"others": [still]}, LEAVES, SIZES)[0]) == ()


def test_an_axis_with_a_blind_leaf_is_inconclusive_and_a_change_elsewhere_is_still_one():
    known = {"run": apart(0.2)}
    verdict, detail = judge_all("axis", known, Sheet(LEAVES, SIZES, {"run": RUN}))
    assert verdict == "inconclusive"
    assert detail.startswith("cannot judge: ")
    assert "run, leaf bias" in detail
    moved = RUN * np.array([1, 1.1, 1])
    assert judge_all("axis", known, Sheet(LEAVES, SIZES, {"run": moved}))[0] == "regression"


def noisy(sign):
    """optax.noisy_sgd with its key fixed, and its updates the other way."""

    def build(num_steps):
        rule = optax.chain(optax.noisy_sgd(0.1, key=jax.random.key(3)), optax.scale(sign))
        return optax.with_extra_args_support(rule)

    return build


@pytest.fixture(scope="module")
def noisy_record():
    return tier.record(Subject(noisy(1.0), NETWORK))


def test_a_rule_that_draws_random_numbers_is_not_varied_by_float64(noisy_record):
    """Other numbers are drawn there: that is no rounding."""
    assert noisy_record.left_out["float64"].startswith("it draws random numbers")
    assert max(noisy_record.spread.values()) < 1e-3


def test_such_a_rule_is_judged_by_the_numbers_of_its_key(noisy_record):
    for sign, verdict in ((1.0, "pass"), (-1.0, "regression")):
        found = tier.check_updates(noisy(sign), NETWORK, noisy_record)
        assert {f.verdict for f in found} == {verdict}


def test_a_record_whose_spread_hides_a_flip_cannot_judge_one(noisy_record):
    """As records were made that took other random numbers for rounding."""
    with cpu():
        found, _ = variants(noisy(1.0), NETWORK, None)
        other = {name: -run for name, run in found["vmap"][0].items()}
    (name,) = noisy_record.trajectories
    known = noisy_record.trajectories[name]
    wide, _ = learn(found["vmap"][0][name], {"x": [other[name]]}, known.leaves, known.sizes)
    vague = dataclasses.replace(noisy_record, trajectories={name: wide})
    (told,) = tier.check_updates(noisy(1.0), NETWORK, vague)
    assert told.verdict == "inconclusive"
    assert told.detail.startswith("cannot judge: ")


def test_a_draw_is_seen_in_the_program():
    (course,) = courses(NETWORK)
    assert Runner(noisy(1.0), NETWORK, course).draws
    plain = optax.with_extra_args_support(optax.sgd(0.1))
    assert not Runner(lambda _: plain, NETWORK, course).draws


@pytest.mark.parametrize(
    ("distance", "known", "verdict"),
    [
        (0.01, None, "pass"),
        (1.0, None, "inconclusive"),  # a frozen leaf, or a rule that bfloat16 does not suit
        (2.0, None, "regression"),
        (0.3, 0.01, "regression"),
        (0.9, 0.9, "pass"),
    ],
)
def test_the_effect_of_a_dtype_is_judged_by_the_recorded_one(distance, known, verdict):
    then = {} if known is None else {"bfloat16": (known,)}
    assert judge_effects(("kernel",), {"bfloat16": (distance,)}, then)[0] == verdict
