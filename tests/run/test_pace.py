from __future__ import annotations

import dataclasses

import pytest
from run.test_evaluate import config_of

from rl_eval.config import PPOHparams
from rl_eval.ppo.learner import Optimizer
from rl_eval.run.fit import pace


def make(num_steps, numbers):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("target_kl", "optimizer", "lags"),
    [
        (0.01, Optimizer(make), True),
        (0.01, Optimizer(make, follows_run=True), False),
        (0.01, Optimizer(make, frozenset({"progress"})), False),
        (None, Optimizer(make), False),
    ],
)
def test_a_schedule_that_may_lag_behind_the_run_is_said_and_recorded(target_kl, optimizer, lags):
    config = dataclasses.replace(config_of("CartPole-v1"), hparams=PPOHparams(target_kl=target_kl))
    told = []
    assert bool(pace(config, optimizer, told.append)) == lags
    assert len(told) == lags
