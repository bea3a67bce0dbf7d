from __future__ import annotations

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
