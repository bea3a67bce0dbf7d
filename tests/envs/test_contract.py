"""One table of backends, one set of promises."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from rl_eval.envs.ale import AleEnv
from rl_eval.envs.base import Layout
from rl_eval.envs.envpool import AtariEnv
from rl_eval.envs.gymnasium import GymnasiumEnv
from rl_eval.envs.gymnax import GymnaxEnv
from rl_eval.envs.probes import ProbeEnv
from rl_eval.envs.protocols import CLASSIC
from rl_eval.prng import Purpose
from rl_eval.types import Environment

LONG = 27_000


def atari(limit):
    return dataclasses.replace(CLASSIC, max_episode_steps=limit)


BACKENDS = {
    "gymnax-classic": lambda lay, limit: GymnaxEnv("CartPole-v1", lay, limit),
    "gymnax-minatar": lambda lay, limit: GymnaxEnv("Breakout-MinAtar", lay, limit),
    "envpool-xla": lambda lay, limit: AtariEnv("Breakout-v5", lay, atari(limit), True, "test"),
    "envpool-host": lambda lay, limit: AtariEnv("Breakout-v5", lay, atari(limit), False, "test"),
    "gymnasium": lambda lay, limit: GymnasiumEnv("gymnasium:CartPole-v1", lay, limit),
    "ale": lambda lay, limit: AleEnv("ALE/Breakout-v5", lay, atari(limit)),
    "probe": lambda lay, limit: ProbeEnv("probe/observation", lay),
}
TIME_LIMITED = sorted(set(BACKENDS) - {"probe"})


@pytest.fixture(params=BACKENDS, scope="module")
def make(request):
    return BACKENDS[request.param]


@pytest.fixture(params=TIME_LIMITED, scope="module")
def make_limited(request):
    return BACKENDS[request.param]


@pytest.fixture(scope="module")
def played(make, roll, random_actions):
    """Three members of two environments each, 200 random steps."""
    env = make(Layout(2, (4, 5, 6)), LONG)
    return env, *roll(env, random_actions(env, 200))


def test_every_leaf_has_the_promised_shape_and_type(played):
    env, obs, steps = played
    assert isinstance(env, Environment)
    assert env.path == ("xla" if env.jittable else "host")
    assert (obs.shape, obs.dtype) == ((6, *env.observation.shape), env.observation.dtype)
    for seen in (steps.obs, steps.next_obs):
        assert (seen.shape, seen.dtype) == ((200, *obs.shape), obs.dtype)
    for number in (steps.reward, steps.episode.reward):
        assert (number.shape, number.dtype) == ((200, 6), np.float32)
    for flag in (steps.terminated, steps.truncated, steps.valid, steps.episode.over):
        assert (flag.shape, flag.dtype) == ((200, 6), np.bool_)


def test_a_seed_decides_everything_and_neighbours_nothing(make, played, roll, random_actions):
    """The middle member of three, alone in a pool of its own."""
    crowd, obs, steps = played
    actions = random_actions(crowd, 200)[:, 2:4]
    alone = roll(make(Layout(2, (5,)), LONG), actions)
    among = jax.tree.map(lambda x: x[:, 2:4], steps)
    jax.tree.map(np.testing.assert_array_equal, (obs[2:4], among), alone)


def test_seeds_purposes_and_environments_differ(make):
    def starts(*seeds, purpose=Purpose.ENV):
        return np.asarray(make(Layout(4, seeds, purpose), LONG).reset()[1])

    one, two = np.split(starts(7, 8), 2)
    assert not np.array_equal(one, two)
    assert not np.array_equal(one, starts(7, purpose=Purpose.EVAL_ENV))
    assert not all(np.array_equal(one[0], other) for other in one[1:])


@pytest.mark.parametrize("backend", sorted(set(BACKENDS) - {"envpool-xla", "envpool-host"}))
def test_reset_starts_over(backend):
    env = BACKENDS[backend](Layout(2), LONG)
    np.testing.assert_array_equal(env.reset()[1], env.reset()[1])


def test_only_steps_after_an_ending_are_ignored(played):
    env, _, steps = played
    ended = steps.terminated | steps.truncated
    assert ended.any()
    if env.resets_in_step:
        assert steps.valid.all()
    else:
        np.testing.assert_array_equal(steps.valid[1:], ~ended[:-1])
        assert not steps.reward[~steps.valid].any()
        assert not steps.episode.reward[~steps.valid].any()
        assert not ended[~steps.valid].any()
        np.testing.assert_array_equal(steps.obs, steps.next_obs)


def test_time_limit_truncates_and_keeps_the_true_successor(make_limited, roll):
    limit = 5
    short, long = make_limited(Layout(2), limit), make_limited(Layout(2), LONG)
    actions = np.tile(np.array([[0], [1]], np.int32), (4, 2))
    (_, cut), (_, uncut) = roll(short, actions), roll(long, actions)
    last = limit - 1
    assert not (uncut.terminated | uncut.truncated)[:limit].any()  # only the limit can end it
    assert cut.truncated[last].all()
    assert cut.episode.over[last].all()
    assert not cut.terminated[:limit].any()
    assert not cut.truncated[:last].any()
    np.testing.assert_array_equal(cut.next_obs[:limit], uncut.next_obs[:limit])
    follows = cut.obs[last] if short.resets_in_step else cut.obs[limit]
    assert not np.array_equal(follows, uncut.next_obs[last])


def test_a_game_over_on_the_step_of_its_limit_is_terminated(make_limited, roll):
    """Bootstrapping from a lost position would teach that losing is worth something."""
    env = make_limited(Layout(1), LONG)
    actions = np.ones((140, 1), np.int32)
    _, steps = roll(env, actions)
    over = int(np.argmax(steps.episode.over[:, 0]))
    assert steps.terminated[over, 0]
    limit = int(steps.valid[: over + 1].sum())
    _, limited = roll(make_limited(Layout(1), limit), actions)
    assert limited.episode.over[over, 0]
    assert limited.terminated[over, 0]
    assert not limited.truncated[: over + 1].any()
