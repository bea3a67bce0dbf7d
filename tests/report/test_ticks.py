"""Ticks and numbers as a reader sees them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.report.ticks import labels, linear_ticks, log_ticks, number
from rl_eval.stats.values import identity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.1544e-5, "2.15e-5"),
        (0.001, "0.001"),
        (0.99, "0.99"),
        (0.0, "0"),
        (1.0, "1"),
        (123456.0, "123456"),
        (2.5e6, "2.5e6"),
        (-0.25, "-0.25"),
        (64, "64"),
        (0.99995, "0.99995"),
        (0.98437, "0.9844"),
        (-0.999995, "-0.999995"),
        (True, "true"),
        (None, "none"),
        ("cosine", "cosine"),
    ],
)
def test_a_number_is_written_as_it_would_be_typed(value, text):
    assert number(value) == text


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)


@given(st.lists(PLAIN, min_size=1, max_size=6))
def test_no_two_different_values_have_one_label(values):
    written = dict(zip(map(identity, values), labels(values), strict=True))
    assert len(set(written.values())) == len(written)
    assert all(written.values())


def test_labels_are_short_where_that_is_enough():
    assert labels([0.99995, 0.999995]) == ["0.99995", "0.999995"]
    assert labels([1e-3, 1.00001e-3, 0.5]) == ["0.001", "0.00100001", "0.5"]
    assert labels([1, "1", True, "true", None, "none", ""]) == [
        "1", '"1"', "true", '"true"', "none", '"none"', '""'
    ]  # fmt: skip


def texts(ticks):
    return [text for _, text in ticks]


def test_decades_and_an_end_without_one():
    assert texts(log_ticks(1e-5, 3e-2)) == ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "3·10⁻²"]
    assert texts(log_ticks(0.05, 0.4)) == ["0.05", "0.1", "0.2", "0.4"]
    heights = [height for height, _ in log_ticks(1e-4, 1e-2)]
    assert heights[0] == 0.0
    assert heights[-1] == 1.0


def test_round_values_on_a_linear_axis():
    assert texts(linear_ticks(0.8, 1.0)) == ["0.8", "0.85", "0.9", "0.95", "1"]
    assert texts(linear_ticks(-3.0, 11.0)) == ["0", "5", "10"]
    assert texts(linear_ticks(1.0, 20.0, whole=True)) == ["5", "10", "15", "20"]
    assert texts(linear_ticks(10.0, 12.0, whole=True)) == ["10", "11", "12"]


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_any_linear_axis_has_some_ticks_in_order_within_it(low, width):
    heights = [height for height, _ in linear_ticks(low, low + width)]
    assert 2 <= len(heights) <= 7
    assert heights == sorted(heights)
    assert heights[0] >= 0
    assert heights[-1] <= 1


def test_ticks_of_close_ends_differ_and_those_of_the_widest_are_finite():
    close = texts(linear_ticks(0.9999999, 0.99999999))
    assert len(set(close)) == len(close) >= 2
    for ticks in (linear_ticks(-1.7e308, 1.7e308), log_ticks(1e-307, 1e308)):
        heights = [height for height, _ in ticks]
        assert 2 <= len(heights) <= 10
        assert 0 <= min(heights) < max(heights) <= 1


@given(low=st.floats(-9, 5), decades=st.floats(0.1, 12))
def test_any_logarithmic_axis_has_some_ticks_in_order_within_it(low, decades):
    ticks = log_ticks(10**low, 10 ** (low + decades))
    heights = [height for height, _ in ticks]
    assert 2 <= len(ticks) <= 10
    assert heights == sorted(heights)
    assert 0 <= heights[0] <= heights[-1] <= 1
    assert not any(math.isnan(height) for height in heights)
