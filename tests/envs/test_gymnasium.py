from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from rl_eval.envs.base import Layout
from rl_eval.envs.gymnasium import GymnasiumEnv


def test_discrete_observations_become_flags(roll):
    env = GymnasiumEnv("FrozenLake-v1", Layout(2))
    obs, steps = roll(env, np.full((30, 2), 2, np.int32))
    assert env.observation.shape == (16,)
    assert (obs.argmax(1) == 0).all()
    assert (steps.next_obs.sum(-1) == 1).all()
    holes_and_goal = [5, 7, 11, 12, 15]
    assert set(steps.next_obs[steps.terminated].argmax(-1).tolist()) <= set(holes_and_goal)
    assert (steps.obs[steps.terminated].argmax(-1) == 0).all()


@pytest.mark.parametrize(
    ("env_id", "complaint"),
    [("Pendulum-v1", "Discrete ones are needed"), ("Blackjack-v1", "Box or Discrete are known")],
)
def test_other_spaces_are_refused(env_id, complaint):
    with pytest.raises(ValueError, match=complaint):
        GymnasiumEnv(env_id, Layout(1))


class OneArray(gymnasium.Env):
    """Writes every observation into one array, as simulators in C do: the time since the reset."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 1000, (1,), np.float32)

    def __init__(self):
        self.seen = np.zeros(1, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seen[0] = 0
        return self.seen, {}

    def step(self, action):
        self.seen[0] += 1
        return self.seen, 1.0, False, False, {}


def test_a_reused_array_keeps_the_successor_of_a_cut_episode(monkeypatch, roll):
    """Value targets would be those of the next episode's start."""
    spec = gymnasium.envs.registration.EnvSpec("OneArray-v0", OneArray, max_episode_steps=3)
    monkeypatch.setitem(gymnasium.registry, "OneArray-v0", spec)
    _, steps = roll(GymnasiumEnv("OneArray-v0", Layout(2)), np.zeros((7, 2), np.int32))
    np.testing.assert_array_equal(steps.next_obs[:, 0, 0], [1, 2, 3, 1, 2, 3, 1])
    np.testing.assert_array_equal(steps.obs[:, 0, 0], [1, 2, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(steps.truncated[:, 0], [0, 0, 1, 0, 0, 1, 0])
