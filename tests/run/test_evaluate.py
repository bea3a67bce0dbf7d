from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spoiled import CODES, Spoiled

from rl_eval.config import (
    EnvConfig,
    EvaluationConfig,
    NetworkConfig,
    OptimizerConfig,
    PPOConfig,
    PPOHparams,
    RunConfig,
)
from rl_eval.envs import episode_stats, registry
from rl_eval.envs.base import Layout, step_keys, where_env
from rl_eval.envs.protocols import CLASSIC, evaluation
from rl_eval.ppo.networks import Network
from rl_eval.prng import Purpose, env_seeds
from rl_eval.run.evaluate import EndlessGameError, envs_per_member, make_evaluator, network_of
from rl_eval.types import Episode, Step


def config_of(env_id, episodes=8, policy="stochastic", seeds=(0,), atari=None):
    return RunConfig(
        env=EnvConfig(env_id, atari=atari),
        optimizer=OptimizerConfig("sgd"),
        total_timesteps=1,
        network=NetworkConfig(hidden_sizes=(8,)),
        ppo=PPOConfig(num_envs=1, num_steps=1, update_epochs=1, num_minibatches=1),
        hparams=PPOHparams(),
        evaluation=EvaluationConfig(episodes=episodes, policy=policy),
        seeds=seeds,
    )


def blind(applied=lambda: None):
    """A policy whose parameters are its logits, whatever it sees; `applied` hears of each trace."""

    def apply(logits, obs):
        applied()
        return jnp.broadcast_to(logits, (obs.shape[0], logits.size)), jnp.zeros(obs.shape[0])

    return Network(lambda key: None, lambda obs: obs, apply, lambda params, obs: None)


def always(action, num_actions, members=1):
    return jnp.tile(20.0 * jax.nn.one_hot(action, num_actions), (members, 1))


def trained_like(config, scale=10.0):
    """Parameters [member, ...] that act on what they see."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(config.seeds))
    params = jax.vmap(network_of(config).init)(keys)
    return jax.tree.map(lambda x: x * scale, params)


class Lottery:
    """A fair coin decides before each game: 1 step and nothing won, or `length` steps and 1 won."""

    env_id, num_actions, path, path_reason = "lottery", 2, "", ""
    observation = jax.ShapeDtypeStruct((1,), jnp.float32)
    resets_in_step = True

    def __init__(self, layout, length, jittable):
        self.num_envs, self.keys, self.length = layout.total, layout.keys, length
        self.jittable = self.rewindable = jittable

    def reset(self):
        keys, zeros = self.keys(), jnp.zeros(self.num_envs, jnp.int32)
        return (keys, zeros, zeros, self.toss(keys, zeros)), self.blank()

    def step(self, state, action):
        keys, steps, age, won = state
        steps, age = steps + 1, age + 1
        over = age >= jnp.where(won, self.length, 1)
        reward = jnp.where(over & won, 1.0, 0.0)
        state = keys, steps, *where_env(over, (0 * age, self.toss(keys, steps)), (age, won))
        no = jnp.zeros_like(over)
        return state, Step(self.blank(), reward, over, no, self.blank(), ~no, Episode(reward, over))

    def close(self):
        self.jittable = None

    def toss(self, keys, steps):
        return jax.vmap(jax.random.bernoulli)(step_keys(keys, steps))

    def blank(self):
        return jnp.zeros((self.num_envs, 1))


@pytest.fixture
def lottery(monkeypatch):
    """`lottery(length, jittable)`: its id."""
    monkeypatch.setattr(registry, "_registered", {})

    def register(length, jittable, kind=Lottery):
        registry.register_pool("lottery", lambda lay: kind(lay, length, jittable), "other")
        return "lottery"

    return register


def first_to_finish(env, n):
    """What an evaluation must not do: the returns of the first n games that are over."""
    state, _ = env.reset()
    returns = []
    while len(returns) < n:
        state, step = env.step(state, jnp.zeros(env.num_envs, jnp.int32))
        returns += np.asarray(step.episode.reward)[np.asarray(step.episode.over)].tolist()
    return np.mean(returns[:n])


@pytest.mark.parametrize("jittable", [True, False])
def test_short_games_are_not_over_represented(lottery, jittable):
    config = config_of(lottery(20, jittable), episodes=80, seeds=(0, 1))
    played = make_evaluator(config, blind())(jnp.zeros((2, 2)), 0)
    assert played.returns.shape == played.lengths.shape == (2, 80)
    standard_error = 0.5 / np.sqrt(160)
    assert abs(played.returns.mean() - 0.5) < 3 * standard_error
    np.testing.assert_array_equal(played.lengths, np.where(played.returns == 1, 20, 1))
    env = registry.make_env("lottery", num_envs=80)
    assert first_to_finish(env, 80) < 0.5 - 3 * standard_error


@pytest.mark.parametrize("jittable", [True, False])
def test_an_environment_without_an_end_is_named_at_its_first_game(lottery, jittable):
    """Not after as many games as it was to play; and what other members played is kept."""
    stepped = []

    class Counted(Lottery):
        def step(self, state, action):
            stepped.append(1)
            return super().step(state, action)

    config = config_of(lottery(10**9, jittable, Counted), episodes=64, seeds=(0, 1))
    evaluate = make_evaluator(config, blind(), max_game_steps=50)
    with pytest.raises(EndlessGameError, match=r"lottery: games do not end.* 50 agent steps") as e:
        evaluate(jnp.zeros((2, 2)), 0)
    assert len(stepped) <= 50 + 8
    assert e.value.endless.tolist() == [True, True]
    assert e.value.games.returns.shape == (2, 64)


def test_a_member_whose_games_end_is_not_held_to_anothers(lottery):
    class OneSeed(Lottery):
        """Only environments of the second member can win, and then play for ever."""

        def toss(self, keys, steps):
            return super().toss(keys, steps) & (jnp.arange(self.num_envs) >= self.num_envs // 2)

    config = config_of(lottery(10**9, False, OneSeed), episodes=16, seeds=(0, 1))
    with pytest.raises(EndlessGameError) as raised:
        make_evaluator(config, blind(), max_game_steps=20)(jnp.zeros((2, 2)), 0)
    assert raised.value.endless.tolist() == [False, True]
    np.testing.assert_array_equal(raised.value.games.lengths[0], 1)


@pytest.mark.parametrize(
    ("inside_jit", "episodes", "envs"),
    [(True, 128, 128), (True, 300, 100), (True, 1, 1), (False, 32, 8), (False, 30, 6)],
)
def test_environments_share_the_games_evenly(inside_jit, episodes, envs):
    assert envs_per_member(inside_jit, episodes) == envs


def test_pools_of_one_purpose_have_streams_of_their_own():
    layouts = [Layout(5, (1, 2), Purpose.EVAL_ENV, index) for index in range(3)]
    keys = [np.asarray(jax.random.key_data(lay.keys())) for lay in layouts]
    traced = jax.jit(lambda i: Layout(5, (1, 2), Purpose.EVAL_ENV, i).keys())
    for index, key in enumerate(keys):
        np.testing.assert_array_equal(jax.random.key_data(traced(index)), key)
    assert len(np.unique(np.concatenate(keys), axis=0)) == 30
    assert len(set(np.concatenate([lay.int_seeds() for lay in layouts]).tolist())) == 30
    np.testing.assert_array_equal(layouts[0].int_seeds()[:5], env_seeds(1, 5, Purpose.EVAL_ENV))
    with pytest.raises(ValueError, match="index must lie in"):
        Layout(1, index=-1)


BACKENDS = ["CartPole-v1", "gymnasium:CartPole-v1"]


@pytest.mark.parametrize("env_id", BACKENDS)
def test_the_result_follows_from_seed_index_and_parameters_alone(env_id):
    """Not from evaluations before, nor from neighbours in the population."""
    both, alone = config_of(env_id, seeds=(3, 4)), config_of(env_id, seeds=(4,))
    params = trained_like(both)
    evaluate = make_evaluator(both, network_of(both))
    first, second = evaluate(params, 7), evaluate(params, 8)
    jax.tree.map(np.testing.assert_array_equal, evaluate(params, 7), first)
    by_itself = make_evaluator(alone, network_of(alone))(trained_like(alone), 7)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[1:], y), first, by_itself)
    assert not np.array_equal(first.lengths, second.lengths)
    assert not np.array_equal(first.lengths[0], first.lengths[1])
    assert first.returns.dtype == np.float32
    assert first.lengths.dtype == np.int32


@pytest.mark.parametrize("env_id", BACKENDS)
def test_parameters_and_index_compile_nothing_anew(env_id):
    traces = []
    network = blind(lambda: traces.append(1))
    evaluate = make_evaluator(config_of(env_id), network)
    evaluate(jnp.zeros((1, 2)), 0)
    first = len(traces)
    assert first > 0
    for index in range(1, 4):
        evaluate(jnp.full((1, 2), index, jnp.float32), index)
    make_evaluator(config_of(env_id), network)(jnp.zeros((1, 2)), 0)  # such as another flavour's
    assert len(traces) == first


@pytest.mark.parametrize("env_id", BACKENDS)
def test_greedy_takes_the_likeliest_action_and_stochastic_samples(env_id):
    slightly_left = jnp.array([[0.1, 0.0]])  # always left falls within 8 to 10 steps
    greedy, sampled = (
        make_evaluator(config_of(env_id, 64, policy), blind())(slightly_left, 0)
        for policy in ("greedy", "stochastic")
    )
    assert greedy.lengths.max() <= 11
    assert sampled.lengths.max() > 30
    np.testing.assert_array_equal(sampled.returns, sampled.lengths)  # 1 per step


ATARI = dataclasses.replace(CLASSIC, max_episode_steps=400)


def test_atari_games_are_whole_and_raw():
    """Always firing in Space Invaders, against the same games stepped here."""
    config = config_of("SpaceInvaders-v5", 4, "greedy", seeds=(5,), atari=ATARI)
    evaluate = make_evaluator(config, blind())
    played = evaluate(always(1, 6), 9)
    env = registry.make_env(
        "SpaceInvaders-v5",
        num_envs=4,
        seeds=(5,),
        purpose=Purpose.EVAL_ENV,
        index=9,
        path="host",
        atari=evaluation(ATARI),
    )
    state, _ = env.reset()
    stats = episode_stats.init(4)
    for _ in range(ATARI.max_episode_steps + 10):  # a step after each lost life is ignored
        state, step = env.step(state, np.ones(4, np.int32))
        stats = episode_stats.update(stats, step)
    once = stats.finished == 1
    assert once.any()
    np.testing.assert_array_equal(played.returns[0][once], stats.latest_return[once])
    np.testing.assert_array_equal(played.lengths[0][once], stats.latest_length[once])
    assert played.returns.max() > 50  # aliens are worth 5 to 30; clipped, this takes 50 of them
    jax.tree.map(np.testing.assert_array_equal, evaluate(always(1, 6), 9), played)


@pytest.mark.parametrize("env_id", ["Breakout-v5", "ALE/Breakout-v5"])
def test_a_policy_that_never_fires_plays_the_game_it_was_trained_on(env_id):
    """envpool presses FIRE after each lost life in training; ALE's vector environment never."""
    options = dataclasses.replace(CLASSIC, max_episode_steps=250)
    config = config_of(env_id, 4, "greedy", atari=options)
    played = make_evaluator(config, blind())(always(0, 4), 3)
    env = registry.make_env(
        env_id, num_envs=4, purpose=Purpose.EVAL_ENV, index=3, path="host", atari=options
    )
    state, _ = env.reset()
    stats = episode_stats.init(4)
    while not stats.finished.all():
        state, step = env.step(state, np.zeros(4, np.int32))
        stats = episode_stats.update(stats, step)
    np.testing.assert_array_equal(played.lengths[0], stats.latest_length)
    fires = env_id == "Breakout-v5"
    assert (played.lengths < options.max_episode_steps).all() == fires


@pytest.mark.parametrize("frame_skip", [2, 4])
def test_lengths_and_limits_are_agent_steps_not_frames(frame_skip):
    """And the ignored step between two games of an environment is in none of them."""
    options = dataclasses.replace(CLASSIC, max_episode_steps=15, frame_skip=frame_skip)
    config = config_of("Pong-v5", 16, atari=options)
    played = make_evaluator(config, blind())(jnp.zeros((1, 6)), 0)
    np.testing.assert_array_equal(played.lengths, np.full((1, 16), 15))


def test_ale_ids_are_evaluated_too():
    config = config_of("ALE/Breakout-v5", 2, "greedy", atari=ATARI)
    played = make_evaluator(config, blind())(always(1, 4), 0)
    assert (played.lengths > 50).all()


@pytest.mark.parametrize("jittable", [True, False])
def test_a_game_with_a_number_that_is_not_finite_has_no_return(monkeypatch, jittable):
    """NaN and infinite rewards, and games played on NaN and infinite observations."""
    monkeypatch.setattr(registry, "_registered", {})
    registry.register_pool("spoiled", lambda lay: Spoiled(lay, jittable=jittable), "probe")
    config = config_of("spoiled", 4, seeds=CODES)
    returns = make_evaluator(config, blind())(jnp.zeros((len(CODES), 2)), 0).returns
    assert np.isfinite(returns[0]).all()
    assert not np.isfinite(returns[1:]).any()
