"""Values of a hyperparameter are told apart exactly, whatever they look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.stats.values import Column, codes, distinct, identity, numbers, same, snapped

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)


@pytest.mark.parametrize("pair", [(1, 1.0), (0.0, -0.0), (np.float64(0.5), 0.5), ([1, 2], (1, 2))])
def test_one_value_in_two_guises_is_one(pair):
    assert same(*pair)


@pytest.mark.parametrize(
    "pair",
    [
        (0.99995, 0.999995),
        (True, 1),
        (False, 0),
        (1, "1"),
        (True, "true"),
        (None, "none"),
        (None, ""),
        (None, False),
        ([1, 2], [2, 1]),
        ([1], [True]),
        (2**53 + 1, float(2**53)),
        (1e-3, 1e-3 * (1 + 2**-52)),
    ],
)
def test_two_values_that_look_alike_are_two(pair):
    assert not same(*pair)


@given(st.lists(PLAIN | st.lists(PLAIN, max_size=2), min_size=1, max_size=8))
def test_codes_are_equal_for_equal_values_alone_and_whatever_their_order(values):
    index, known = codes(values)
    assert all(same(known[i], value) for i, value in zip(index, values, strict=True))
    assert len(known) == len({identity(value) for value in values}) == len(distinct(values))
    backwards, again = codes(values[::-1])
    assert list(map(identity, again)) == list(map(identity, known))
    np.testing.assert_array_equal(backwards[::-1], index)


def test_truth_values_and_text_are_no_numbers():
    np.testing.assert_array_equal(numbers([1, 2.5]), [1, 2.5])
    assert numbers([1, True]) is None
    assert numbers(["1", 2]) is None
    assert numbers([None]) is None


def test_a_column_is_scaled_in_its_logarithm_and_over_any_range():
    np.testing.assert_allclose(Column([1e-4, 1e-3, 1e-2], log=True).scaled(), [0, 0.5, 1])
    np.testing.assert_allclose(Column([-1e308, 0.0, 1e308]).scaled(), [0, 0.5, 1])
    np.testing.assert_allclose(Column([3, 3]).scaled(), [0, 0])
    assert Column([1, 2], categorical=True).scaled() is None


def test_what_rounding_tells_apart_is_made_one_and_nothing_else():
    values = np.array([[0.6, 0.1], [0.2 + 0.4, 0.6 * (1 + 1e-9)]])
    got = snapped(values)
    assert got[0, 0] == got[1, 0]
    assert len(set(got.ravel())) == 3
    np.testing.assert_allclose(got, values, rtol=1e-12)
    np.testing.assert_array_equal(snapped(np.zeros(3)), 0)
