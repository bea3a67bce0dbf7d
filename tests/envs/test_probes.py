from __future__ import annotations

import numpy as np
import pytest

from rl_eval.envs.base import Layout
from rl_eval.envs.probes import PROBES, ProbeEnv

GAMMA = 0.9
TRUTH = {  # value of each state at gamma 0.9, best action of each state
    "probe/constant": ((1.0,), (None,)),
    "probe/observation": ((-1.0, 1.0), (None, None)),
    "probe/two-step": ((0.9, 1.0), (None, None)),
    "probe/action": ((1.0,), (1,)),
    "probe/both": ((1.0, 1.0), (0, 1)),
}


@pytest.mark.parametrize("env_id", PROBES)
def test_true_values_and_actions(env_id):
    probe = PROBES[env_id]
    assert (probe.value(GAMMA), probe.best_action) == TRUTH[env_id]


@pytest.mark.parametrize("env_id", PROBES)
def test_best_actions_earn_the_true_value(env_id, roll):
    """Discounted returns of whole episodes, by starting observation."""
    env = ProbeEnv(env_id, Layout(16))
    obs, steps = roll(env, np.ones((8, 16), np.int32))
    values = dict(zip(env.probe.observation, env.probe.value(GAMMA), strict=True))
    starts = np.concatenate([obs[None], steps.obs[:-1]])[..., 0]
    assert set(starts.ravel().tolist()) == set(env.probe.observation)
    best = dict(zip(env.probe.observation, env.probe.best_action, strict=True))
    following = np.vectorize(values.get)(steps.next_obs[..., 0])
    earned = steps.reward + GAMMA * np.where(steps.terminated, 0.0, following)
    taken_is_best = np.vectorize(lambda o: best[o] in (1, None))(starts)
    expected = np.vectorize(values.get)(starts)
    np.testing.assert_allclose(earned[taken_is_best], expected[taken_is_best], rtol=1e-6)
    assert (earned[~taken_is_best] < expected[~taken_is_best]).all()
