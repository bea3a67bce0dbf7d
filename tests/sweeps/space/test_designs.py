"""Designs: known points, evenness, extension."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.spec import Choice, LogUniform, Uniform
from rl_eval.settings import SettingsError
from sweeps.space.designs import COLUMNS, draw, unit_cube
from sweeps.space.domains import Integers, value_at

DOMAINS = (LogUniform(1e-5, 1e-2), Uniform(0.8, 1.0), Integers(1, 8), Choice(("a", "b", "c")))
RANDOM = ("sobol", "random", "latin-hypercube")


@pytest.mark.parametrize("design", RANDOM)
def test_a_seed_gives_its_points_and_another_seed_others(design):
    first = unit_cube(design, 16, 3, seed=1)
    np.testing.assert_array_equal(first, unit_cube(design, 16, 3, seed=1))
    assert (first != unit_cube(design, 16, 3, seed=2)).any()
    assert first.min() >= 0
    assert first.max() < 1


@pytest.mark.parametrize("design", ["sobol", "random"])
@pytest.mark.parametrize(("few", "many"), [(32, 64), (5, 48), (1, 3)])
def test_more_trials_extend_fewer(design, few, many):
    fewer, more = unit_cube(design, few, 4, seed=3), unit_cube(design, many, 4, seed=3)
    assert (len(fewer), len(more)) == (few, many)
    np.testing.assert_array_equal(fewer, more[:few])


@pytest.mark.parametrize("design", RANDOM)
def test_an_axis_does_not_move_when_others_follow(design):
    few, many = unit_cube(design, 8, 2, seed=0), unit_cube(design, 8, COLUMNS, seed=0)
    np.testing.assert_array_equal(few, many[:, :2])


def test_each_of_n_equal_parts_of_an_axis_has_one_point():
    for design, trials in (("sobol", 64), ("latin-hypercube", 48)):
        points = unit_cube(design, trials, COLUMNS, seed=0)
        parts = np.sort((points * trials).astype(int), axis=0)
        assert (parts == np.arange(trials)[:, None]).all(), design


def test_sobol_pairs_fill_the_square():
    points = (unit_cube("sobol", 64, 6, seed=0) * 8).astype(int)
    for i in range(5):
        cells = {tuple(cell) for cell in points[:, [i, i + 1]]}
        assert len(cells) > 42  # of 64; independent draws leave a third of the cells empty


@given(u=st.floats(0, 1), v=st.floats(0, 1), domain=st.sampled_from(DOMAINS))
def test_values_stay_in_their_domain_and_in_its_order(u, v, domain):
    low, high = sorted((u, v))
    if isinstance(domain, Choice):
        places = [domain.values.index(value_at(domain, x)) for x in (low, high)]
        assert places[0] <= places[1]
    else:
        assert domain.low <= value_at(domain, low) <= value_at(domain, high) <= domain.high


def test_values_have_five_digits():
    assert value_at(LogUniform(1e-5, 1e-3), 1 / 3) == 4.6416e-05
    assert value_at(Uniform(0.0, 3.0), 1 / 9) == 0.33333
    assert [value_at(Integers(2, 5), u) for u in (0.0, 0.249, 0.25, 0.999, 1.0)] == [2, 2, 3, 5, 5]


def test_a_grid_has_every_combination_with_both_ends():
    domains = (LogUniform(1e-4, 1e-2), Choice((True, False)), Integers(1, 2))
    points = draw("grid", domains, trials=None, seed=0, points=3)
    assert points == [
        (rate, flag, count)
        for rate in (1e-4, 1e-3, 1e-2)
        for flag in (True, False)
        for count in (1, 2)
    ]
    wide = draw("grid", (Integers(0, 100),), trials=None, seed=0, points=5)
    assert wide == [(0,), (25,), (50,), (75,), (100,)]


@pytest.mark.parametrize(
    ("design", "domains", "trials", "words"),
    [
        ("grid", DOMAINS, 7, "trials=7: this grid has 375 points"),
        ("grid", DOMAINS * 3, None, "at most 65536 are possible"),
        ("sobol", DOMAINS, None, "a sobol design needs a number of trials"),
        ("sobol", DOMAINS, 0, "trials must lie in 1 .. 65536, got 0"),
        ("random", DOMAINS * 17, 4, "at most 64 hyperparameters can vary, got 68"),
    ],
)
def test_a_design_that_cannot_be_is_refused(design, domains, trials, words):
    with pytest.raises(SettingsError, match=words):
        draw(design, domains, trials=trials, seed=0, points=5)


def test_a_negative_seed_is_refused():
    with pytest.raises(SettingsError, match="0 or more, got -1"):
        draw("sobol", DOMAINS, trials=4, seed=-1, points=5)
