from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from rl_eval.envs import episode_stats
from rl_eval.envs.base import Layout
from rl_eval.envs.envpool import AtariEnv, flavours, game_ids, open_pool
from rl_eval.envs.protocols import CLASSIC, MACHADO, evaluation


def breakout(options=CLASSIC, *, jittable=False):
    return AtariEnv("Breakout-v5", Layout(2, (0, 1)), options, jittable, "test")


def test_both_paths_agree_step_for_step(roll, random_actions):
    """Long enough for several lost lives and a lost game."""
    traced, hosted = breakout(jittable=True), breakout()
    actions = random_actions(traced, 260)
    first, second = roll(traced, actions), roll(hosted, actions)
    assert second[1].episode.over.any()
    assert (~second[1].valid).sum() > 4
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_game_return_spans_lives_and_equals_the_score_on_screen(roll, random_actions):
    """The hand count: Breakout keeps its score in RAM bytes 76 and 77, as decimal digits."""
    env = breakout()
    actions = random_actions(env, 300)
    _, steps = roll(env, actions)
    twin = open_pool("Breakout-v5", Layout(2, (0, 1)), CLASSIC)
    twin.reset()
    scores = []
    for action in actions:
        ram = twin.step(action)[4]["ram"]
        low, high = ram[:, 77], ram[:, 76]
        scores.append((low & 15) + 10 * (low >> 4) + 100 * (high & 15))
    stats, games = episode_stats.init(4), 0
    for t, score in enumerate(scores):
        stats = episode_stats.update(stats, jax.tree.map(lambda x, t=t: x[t], steps))
        over = steps.episode.over[t]
        np.testing.assert_array_equal(stats.latest_return[over], score[over])
        games += over.sum()
    lives = (steps.terminated & ~steps.episode.over).sum()
    assert games >= 3
    assert lives >= 4 * games
    assert stats.window.return_sum.sum() > 0


def test_rewards_are_clipped_for_the_learner_only(roll):
    clipped, raw = (
        AtariEnv("SpaceInvaders-v5", Layout(1), options, False, "test")
        for options in (
            CLASSIC,
            evaluation(CLASSIC),
        )
    )
    actions = np.ones((150, 1), np.int32)  # fire at the aliens overhead
    (_, learner), (_, score) = roll(clipped, actions), roll(raw, actions)
    np.testing.assert_array_equal(score.reward, score.episode.reward)
    np.testing.assert_array_equal(learner.episode.reward, score.reward)
    np.testing.assert_array_equal(learner.reward, np.sign(score.reward))
    assert score.reward.max() > 1


def test_a_lost_life_ends_the_learners_episode_only_where_asked(roll):
    fire = np.ones((130, 4), np.int32)
    _, life = roll(breakout(), fire)
    _, game = roll(breakout(dataclasses.replace(CLASSIC, episodic_life=False)), fire)
    assert (life.terminated.sum(0) == 5).all()
    assert (life.episode.over.sum(0) == 1).all()
    np.testing.assert_array_equal(game.terminated, game.episode.over)
    assert (game.terminated.sum(0) == 1).all()


def test_the_action_of_an_ignored_step_changes_nothing(roll):
    env = breakout()
    actions = np.ones((60, 4), np.int32)
    _, steps = roll(env, actions)
    other = np.where(steps.valid, actions, 3)
    assert (other != actions).any()
    jax.tree.map(np.testing.assert_array_equal, steps, roll(breakout(), other)[1])


def test_a_limit_right_after_a_lost_life_truncates_the_game_once(roll):
    """elapsed_step stands still while a lost life is reset, so the limit counts valid steps."""
    limit = 40
    _, steps = roll(
        breakout(dataclasses.replace(CLASSIC, max_episode_steps=limit)), np.ones((100, 4), np.int32)
    )
    for env in range(4):
        (cuts,) = np.nonzero(steps.truncated[:, env])
        assert [int(steps.valid[: cut + 1, env].sum()) for cut in cuts] == [limit, 2 * limit]
        np.testing.assert_array_equal(np.nonzero(steps.episode.over[:, env])[0], cuts)


def test_a_game_lost_during_the_no_ops_after_a_life_is_counted(roll):
    """Walking right in Road Runner: envpool begins a new game there without reporting the end."""
    env = AtariEnv("RoadRunner-v5", Layout(8), CLASSIC, False, "test")
    state, _ = env.reset()
    full = state.lives.copy()
    found = 0
    for _ in range(70):
        before = state.lives
        state, step = env.step(state, np.full(8, 3, np.int32))
        hidden = step.episode.over & ~step.valid
        assert (before[hidden] == 1).all()
        np.testing.assert_array_equal(state.lives[hidden], full[hidden])
        found += hidden.sum()
    assert found > 0


def test_a_second_reset_starts_new_games_further_down_the_streams(roll):
    env = breakout()
    first, _ = roll(env, np.ones((30, 4), np.int32))
    state, second = env.reset()
    assert (state.lives == 5).all()
    assert not state.ended.any()
    assert not np.array_equal(first, second)


def test_sticky_actions_and_the_full_action_set_are_passed_on(roll):
    env = breakout(MACHADO)
    assert (env.num_actions, breakout().num_actions) == (18, 4)
    sticky = dataclasses.replace(CLASSIC, repeat_action_probability=0.25)
    actions = np.tile(np.array([[2], [3]], np.int32), (15, 4))
    assert not np.array_equal(
        roll(breakout(), actions)[1].obs, roll(breakout(sticky), actions)[1].obs
    )


def test_flavours_are_checked_by_name(roll):
    modes, difficulties = flavours("Breakout-v5")
    hard = dataclasses.replace(CLASSIC, difficulty=difficulties[-1], mode=modes[1])
    fire = np.ones((20, 4), np.int32)
    assert not np.array_equal(roll(breakout(), fire)[1].obs, roll(breakout(hard), fire)[1].obs)
    with pytest.raises(ValueError, match=r"Breakout-v5 has no mode 77; it has \[0, 4, 8"):
        breakout(dataclasses.replace(CLASSIC, mode=77))
    with pytest.raises(ValueError, match="no difficulty 9"):
        breakout(dataclasses.replace(CLASSIC, difficulty=9))


def test_all_57_games_of_the_benchmark_are_listed():
    assert {"Pong-v5", "Breakout-v5", "MsPacman-v5", "UpNDown-v5"} <= set(game_ids())
    assert len(game_ids()) >= 57
