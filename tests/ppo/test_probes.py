"""Five probe environments: which part of the learner is broken when one fails."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ppo.runs import adam, hparams_of, smaller, start

from rl_eval.envs.probes import PROBES

GAMMA = 0.9


@pytest.mark.parametrize("name", PROBES)
def test_value_and_action_are_learned(name):
    seeds = (0, 1)
    iterations = 150
    population, network = start(
        env=name,
        seeds=seeds,
        make=adam,
        iterations=iterations,
        ppo=smaller(num_envs=8, num_steps=16, update_epochs=4),
    )
    hparams = hparams_of({"learning_rate": 5e-3}, seeds, gamma=GAMMA, ent_coef=0.0)
    state, _ = population.run(population.init(seeds, hparams), iterations)
    probe = PROBES[name]
    obs = jnp.asarray(probe.observation, jnp.float32)[:, None]
    for i in range(len(seeds)):
        params = jax.tree.map(lambda x, i=i: x[i], state.learner.params)
        logits, value = network.apply(params, obs)
        np.testing.assert_allclose(value, probe.value(GAMMA), atol=0.1)
        policy = np.asarray(jax.nn.softmax(logits))
        for row, best in zip(policy, probe.best_action, strict=True):
            if best is not None:
                assert row[best] > 0.9
