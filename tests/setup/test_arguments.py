"""Arguments mean the same in every command and call."""

from __future__ import annotations

import pytest

from rl_eval.settings import SettingsError
from rl_eval.setup.arguments import fitting, names_of, seeds_of


@pytest.mark.parametrize(
    ("given", "seeds"),
    [(3, (0, 1, 2)), ("3", (0, 1, 2)), ("5,7", (5, 7)), ([4, 2], (4, 2)), (range(2), (0, 1))],
)
def test_a_number_of_seeds_counts_them_and_a_list_names_them(given, seeds):
    assert seeds_of(given) == seeds


@pytest.mark.parametrize("given", [0, "0", -1, "x", "1,x", "1.5", "1,1", []])
def test_other_seeds_are_refused(given):
    with pytest.raises(SettingsError, match=r"--seeds .*(expected how many|at least one|distinct)"):
        seeds_of(given)


def test_names_come_as_a_list_or_with_commas_and_count_once():
    assert names_of("a, b,a") == names_of(["a", "b", "a"]) == ("a", "b")
    for none in ("", "a,,b", []):
        with pytest.raises(SettingsError, match="separated by commas"):
            names_of(none)


def test_a_setting_may_be_for_one_optimizer():
    given = {"gamma": 0.9, "adamw.b1": 0.8, "optimizer.eps": 1e-6, "my.module:make.b1": 0.7}
    both, shared = ("adamw", "my.module:make"), {"gamma": 0.9, "optimizer.eps": 1e-6}
    assert fitting(given, "adamw", both) == {**shared, "b1": 0.8}
    assert fitting(given, "my.module:make", both) == {**shared, "b1": 0.7}
