from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.config import (
    EnvConfig,
    EvaluationConfig,
    NetworkConfig,
    OptimizerConfig,
    PPOConfig,
    PPOHparams,
    RunConfig,
)
from rl_eval.envs import scores
from rl_eval.envs.registry import env_ids, make_env
from rl_eval.ppo.networks import Network
from rl_eval.run.evaluate import make_evaluator


def test_the_tables_are_whole():
    assert len(scores.atari_games("dqn2015")) == 49
    assert len(scores.atari_games("badia2020")) == 57
    assert set(scores.atari_games("dqn2015")) < set(scores.atari_games("badia2020"))
    for table in scores.TABLES:
        for game in scores.atari_games(table):
            low, high = scores.reference(f"{game}-v5", table)
            assert low < high, game


def test_every_game_can_be_played():
    listed = env_ids()
    for game in scores.atari_games():
        assert f"{game}-v5" in listed["envpool"]
        assert f"ALE/{game}-v5" in listed["ale"]
    assert set(scores.JAX_REFERENCES) == set(listed["gymnax"])


def test_random_columns_differ_in_one_game_only():
    old, new = (
        {g: scores.reference(f"{g}-v5", t).random for g in scores.atari_games("dqn2015")}
        for t in scores.TABLES
    )
    assert {g for g in old if old[g] != new[g]} == {"VideoPinball"}


# The scores of DQN itself and their percentages, as printed in the table that dqn2015 is from.
@pytest.mark.parametrize(
    ("game", "dqn", "percent"),
    [
        ("Breakout", 401.2, 1327),
        ("Pong", 18.9, 132),
        ("VideoPinball", 42684, 2539),
        ("Boxing", 71.8, 1707),
        ("MontezumaRevenge", 0, 0),
        ("Qbert", 10596, 78),
        ("Seaquest", 5286, 25),
        ("SpaceInvaders", 1976, 121),
        ("FishingDerby", -0.8, 93),
    ],
)
def test_dqns_published_percentages_come_out(game, dqn, percent):
    found = 100 * scores.human_normalised(f"{game}-v5", dqn, "dqn2015")
    assert abs(found - percent) <= 1


def test_the_table_decides():
    assert scores.human_normalised("Breakout-v5", 30.5, "badia2020") == 1
    assert scores.human_normalised("Breakout-v5", 31.8, "dqn2015") == 1
    assert scores.human_normalised("ALE/Breakout-v5", 1.7) == 0
    with pytest.raises(ValueError, match=r"unknown score table 'mnih'; known: dqn2015, badia2020"):
        scores.human_normalised("Breakout-v5", 1.0, "mnih")


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: scores.human_normalised("Phoenix-v5", 1.0, "dqn2015"), "'dqn2015' has no scores"),
        (lambda: scores.human_normalised("Brekout-v5", 1.0), "did you mean Breakout-v5"),
        (lambda: scores.human_normalised("CartPole-v1", 1.0), "no human score"),
        (lambda: scores.min_max_normalised("Seaquest-MinAtar", 1.0), "random score only"),
        (lambda: scores.min_max_normalised("probe/both", 1.0), "no scores for 'probe/both'"),
    ],
)
def test_scores_that_nobody_published_are_not_made_up(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()


def test_normalised_scores_are_not_clipped():
    returns = np.array([-100.0, 22.21, 500.0, 977.79])
    found = scores.min_max_normalised("CartPole-v1", returns)
    np.testing.assert_allclose(found[1:], [0, 1, 2], atol=1e-12)
    assert found[0] < 0


def test_random_scores():
    assert scores.random_score("Pong-v5") == scores.random_score("ALE/Pong-v5") == -20.7
    assert scores.random_score("VideoPinball-v5") == 16256.9  # what random play really gets
    assert scores.random_score("Phoenix-v5") == 761.4
    assert scores.random_score("MountainCar-v0") == -200
    assert scores.random_score("probe/both") is None


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "MountainCar-v0", "Breakout-MinAtar", "SpaceInvaders-MinAtar"]
)
def test_measured_random_scores_can_be_measured_again(env_id):
    """Other games than those the constant was taken from."""
    num_actions = make_env(env_id, num_envs=1).num_actions

    def apply(params, obs):
        return jnp.zeros((obs.shape[0], num_actions)), jnp.zeros(obs.shape[0])

    uniform = Network(lambda key: None, lambda obs: obs, apply, lambda params, obs: None)
    config = RunConfig(
        env=EnvConfig(env_id),
        optimizer=OptimizerConfig("sgd"),
        total_timesteps=1,
        network=NetworkConfig(),
        ppo=PPOConfig(num_envs=1, num_steps=1, update_epochs=1, num_minibatches=1),
        hparams=PPOHparams(),
        evaluation=EvaluationConfig(episodes=512),
        seeds=(11,),
    )
    returns = make_evaluator(config, uniform)(jnp.zeros((1, 1)), 0).returns
    standard_error = returns.std() / np.sqrt(returns.size)
    assert abs(returns.mean() - scores.random_score(env_id)) <= 4 * standard_error
