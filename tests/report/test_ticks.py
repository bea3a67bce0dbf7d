"""Ticks and numbers as a reader sees them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.report.ticks import linear_ticks, log_ticks, number


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
        (True, "true"),
        (None, "none"),
        ("cosine", "cosine"),
    ],
)
def test_a_number_is_written_as_it_would_be_typed(value, text):
    assert number(value) == text


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


@given(low=st.floats(-9, 5), decades=st.floats(0.1, 12))
def test_any_logarithmic_axis_has_some_ticks_in_order_within_it(low, decades):
    ticks = log_ticks(10**low, 10 ** (low + decades))
    heights = [height for height, _ in ticks]
    assert 2 <= len(ticks) <= 10
    assert heights == sorted(heights)
    assert 0 <= heights[0] <= heights[-1] <= 1
    assert not any(math.isnan(height) for height in heights)
