from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rl_eval.envs.ale import AleEnv
from rl_eval.envs.base import Layout
from rl_eval.envs.protocols import CLASSIC, MACHADO, evaluation


def ale(options=CLASSIC):
    return AleEnv("ALE/Breakout-v5", Layout(4), options)


def test_a_lost_life_terminates_without_ending_the_game(roll, random_actions):
    env = ale()
    actions = random_actions(env, 400)
    _, steps = roll(env, actions)
    lives_lost = steps.terminated & ~steps.episode.over
    assert steps.episode.over.any()
    assert (lives_lost.cumsum(0)[steps.episode.over] >= 4).all()
    np.testing.assert_array_equal(steps.obs[lives_lost], steps.next_obs[lives_lost])
    _, steps = roll(ale(dataclasses.replace(CLASSIC, episodic_life=False)), actions)
    np.testing.assert_array_equal(steps.terminated, steps.episode.over)


def test_a_time_limit_resets_no_other_game(roll, random_actions):
    """Some games are lost before the limit, so that later limits strike one by one."""
    short = dataclasses.replace(CLASSIC, max_episode_steps=160)
    crowd = AleEnv("ALE/Breakout-v5", Layout(2, (0, 1)), short)
    actions = random_actions(crowd, 340)
    _, steps = roll(crowd, actions)
    assert (steps.truncated.any(1) & ~steps.truncated.all(1)).any()
    _, alone = roll(AleEnv("ALE/Breakout-v5", Layout(2, (1,)), short), actions[:, 2:])
    for i in range(2):
        np.testing.assert_array_equal(steps.obs[:, 2 + i], alone.obs[:, i])
        np.testing.assert_array_equal(steps.truncated[:, 2 + i], alone.truncated[:, i])


def test_rewards_are_clipped_for_the_learner_only(roll):
    clipped, raw = (
        AleEnv("ALE/SpaceInvaders-v5", Layout(1), options)
        for options in (CLASSIC, evaluation(CLASSIC))
    )
    actions = np.ones((150, 1), np.int32)  # fire at the aliens overhead
    (_, learner), (_, score) = roll(clipped, actions), roll(raw, actions)
    np.testing.assert_array_equal(score.reward, score.episode.reward)
    np.testing.assert_array_equal(learner.episode.reward, score.reward)
    np.testing.assert_array_equal(learner.reward, np.sign(score.reward))
    assert score.reward.max() > 1


def test_machado_options_reach_ale():
    assert (ale(MACHADO).num_actions, ale().num_actions) == (18, 4)
    with pytest.raises(ValueError, match=r"no mode or difficulty; 'Breakout-v5' \(envpool\) has"):
        ale(dataclasses.replace(CLASSIC, mode=4))
