"""Lines of metrics from fabricated iterations."""

from __future__ import annotations

import dataclasses

import numpy as np
from run.test_evaluate import config_of

from rl_eval.envs.episode_stats import Games
from rl_eval.ppo.learner import UpdateMetrics
from rl_eval.ppo.losses import LossTerms
from rl_eval.ppo.population import IterationMetrics
from rl_eval.records.run import RunDirectory, read_lines
from rl_eval.run.metrics import MemberMetrics


def iterations(values, steps, returns):
    """Iterations [time, 1 member]: every number, the steps taken so far, the return of one game."""
    x = np.array(values)[:, None]
    nothing, games = np.zeros_like(x), np.array(returns)[:, None]
    update = UpdateMetrics(LossTerms(x, x, x, x, x, x), x, x, x, x, nothing)
    return IterationMetrics(
        update,
        Games(np.ones_like(x), games, games, games, np.ones_like(x)),
        np.array(steps)[:, None],
        np.full_like(x, -1),
    )


def line(tmp_path, *args):
    """The one line that a run of these iterations writes."""
    config = dataclasses.replace(config_of("CartPole-v1"), total_timesteps=3, log_every=3)
    directory = RunDirectory(tmp_path / "run")
    directory.create({}, {})
    metrics = MemberMetrics(config, 0, directory)
    metrics.add(iterations(*args), 3, 0.0, 1.0)
    (row,), _ = read_lines(directory.path / "metrics.jsonl")
    return row, metrics


def test_a_line_is_the_mean_over_the_steps_taken_in_its_iterations(tmp_path):
    row, _ = line(tmp_path, [1.0, 2.0, np.nan], [12, 16, 16], [5.0, 6.0, 7.0])
    assert row["loss"] == row["update_norm"] == (12 * 1.0 + 4 * 2.0) / 16
    assert row["param_norm"] is None
    assert row["episode_return_mean"] == 6.0


def test_a_return_that_is_not_finite_is_null_in_its_line_and_at_the_end(tmp_path):
    for i, bad in enumerate((np.nan, np.inf, -np.inf)):
        row, metrics = line(tmp_path / str(i), [1.0] * 3, [4, 8, 12], [5.0, 6.0, bad])
        assert row["loss"] == 1.0
        assert row["episode_return_mean"] is None
        assert metrics.final_return() is None
        assert (row["episode_return_min"] is None) or (row["episode_return_max"] is None)
