"""When two trajectories count as the same, and where they are said to part."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.gate.numerics.golden import FLOOR, SPREADS, judge, learn
from rl_eval.gate.numerics.trajectory import SKETCH, sketch

LEAVES, SIZES = ("bias", "kernel"), (1, 2)
RUN = np.array([[1.0, 2.0, -2.0], [1.0, 2.0, -4.0], [0.5, 1.0, 1.0], [0.5, 1.0, 1.0]])


def golden(*others):
    return learn(RUN, {"others": others}, LEAVES, SIZES)[0]


def changed(step, number, by):
    run = RUN.copy()
    run[step, number] += by
    return run


def test_the_same_numbers_are_the_same():
    assert judge(golden(), RUN) == ("pass", "same")


def test_a_change_is_named_by_its_first_step_and_leaf():
    verdict, detail = judge(golden(), changed(2, 2, by=0.1) + changed(3, 0, by=0.1) - RUN)
    assert verdict == "regression"
    # The largest update of the kernel up to step 2 is 4.
    assert detail.startswith("changed: first at step 2, leaf kernel, by 0.025 of its largest")
    assert detail.endswith("2 of 2 leaves moved")


def test_a_difference_within_rounding_passes_and_is_named():
    verdict, detail = judge(golden(), changed(1, 0, by=0.5 * FLOOR))
    assert verdict == "pass"
    assert detail.startswith("changed within rounding: from step 1, leaf bias; at most 50")


@pytest.mark.parametrize(("times", "verdict"), [(0.9, "pass"), (1.1, "regression")])
def test_what_an_optimizer_differs_from_itself_is_allowed_from_then_on(times, verdict):
    """Of the same leaf; not before, and no other leaf."""
    known = golden(changed(1, 0, by=1e-2))
    by = times * (SPREADS * 1e-2 + FLOOR)
    assert judge(known, changed(1, 0, by))[0] == verdict
    assert judge(known, changed(3, 0, by))[0] == verdict
    assert judge(known, changed(0, 0, by))[0] == "regression"
    assert judge(known, changed(3, 1, by))[0] == "regression"


def test_the_spread_is_relative_and_by_what_was_varied():
    others = {"threads": [RUN], "jitter": [changed(1, 2, by=0.4), changed(1, 0, by=0.01)]}
    _, spread = learn(RUN, others, LEAVES, SIZES)
    assert spread == pytest.approx({"threads": 0.0, "jitter": 0.1}, rel=1e-5)


def test_something_where_nothing_was_is_a_change():
    known, _ = learn(np.zeros((2, 3)), {"others": [np.zeros((2, 3))]}, LEAVES, SIZES)
    verdict, detail = judge(known, np.array([[0, 0, 0], [0, 0, 1e-20]]))
    assert (verdict, "first at step 1, leaf kernel, by inf" in detail) == ("regression", True)


def test_numbers_that_are_not_finite_equal_each_other_alone():
    overflown = changed(3, 0, by=np.inf)
    known, _ = learn(overflown, {"others": [overflown]}, LEAVES, SIZES)
    assert judge(known, overflown) == ("pass", "same")
    assert judge(known, RUN)[0] == judge(golden(), overflown)[0] == "regression"


def test_small_leaves_are_kept_as_they_are():
    np.testing.assert_array_equal(sketch({"a": jnp.arange(3.0), "b": jnp.ones(())}), [0, 1, 2, 1])


def test_one_element_of_a_large_leaf_shows():
    leaf = jnp.zeros((80, 64))
    moved = sketch([leaf.at[3, 5].set(1.0)]) - sketch([leaf])
    assert moved.shape == (SKETCH,)
    np.testing.assert_allclose(np.abs(moved), 1 / np.sqrt(leaf.size))


def test_where_the_trusted_one_may_overflow_all_is_allowed():
    known = golden(changed(3, 0, by=np.inf))
    assert judge(known, changed(3, 0, by=np.inf))[0] == "pass"
    assert judge(known, changed(3, 0, by=100))[0] == "pass"
    assert judge(known, changed(2, 0, by=100))[0] == "regression"
