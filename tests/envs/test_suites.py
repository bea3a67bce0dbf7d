from __future__ import annotations

import pytest

from rl_eval.envs.registry import describe
from rl_eval.envs.scores import human_normalised
from rl_eval.envs.suites import atari_5_median, budget, suite, suites


@pytest.mark.parametrize("name", suites())
def test_every_environment_of_a_suite_exists_once(name):
    ids = suite(name)
    assert len(set(ids)) == len(ids)
    assert {describe(env_id).family for env_id in ids} <= {"atari", "minatar", "classic"}
    if name[-1].isdigit():
        assert len(ids) == int(name.rpartition("-")[2])


def test_the_small_suites_are_parts_of_the_large_one():
    for name in ("celo2-paper", "atari-3", "atari-5", "atari-26"):
        assert set(suite(name)) < set(suite("atari-57"))


def test_only_the_quick_suite_states_its_budget():
    assert budget("quick", "Breakout-MinAtar") == 131_072
    assert all(budget("quick", env_id) for env_id in suite("quick"))
    assert budget("minatar-4", "Breakout-MinAtar") is None


def test_a_list_of_environments_is_a_suite():
    assert suite("Pong-v5") == ("Pong-v5",)
    assert suite("CartPole-v1, Breakout-MinAtar") == ("CartPole-v1", "Breakout-MinAtar")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("atari-4", r"unknown suite 'atari-4'; did you mean .*atari-5"),
        ("minatar", r"unknown suite 'minatar'; did you mean minatar-4"),
        ("Pong-v5,Brekout-v5", r"unknown environment 'Brekout-v5'; did you mean Breakout-v5"),
        ("Pong-v5,Pong-v5", "twice"),
        ("", "unknown suite ''"),
    ],
)
def test_unknown_names_list_the_near_ones(name, complaint):
    with pytest.raises(ValueError, match=complaint):
        suite(name)


# Raw scores of the five games and the median over all 57 that the papers themselves report.
PUBLISHED = {
    # Hessel et al., AAAI 2018: no-op starts, 200M frames.
    "rainbow": ((62010.0, -0.3, 13136.0, 108528.6, 33817.5), 2.23),
    "dqn": ((29900.0, -6.6, 8207.8, 8485.2, 13117.3), 0.79),
}


@pytest.mark.parametrize("agent", PUBLISHED)
def test_five_games_predict_the_published_median_of_all(agent):
    raw, median = PUBLISHED[agent]
    five = {e: human_normalised(e, s) for e, s in zip(suite("atari-5"), raw, strict=True)}
    assert abs(atari_5_median(five) / median - 1) < 0.2


def test_random_play_and_worse_predict_a_median_of_zero():
    assert atari_5_median(dict.fromkeys(suite("atari-5"), 0.0)) == 0
    assert atari_5_median(dict.fromkeys(suite("atari-5"), -3.0)) == 0
    with pytest.raises(ValueError, match=r"expected scores of BattleZone-v5.*got Pong-v5"):
        atari_5_median({"Pong-v5": 1.0})
