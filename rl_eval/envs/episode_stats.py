"""Returns and lengths of full games, as a pure function of the step stream."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_eval.types import Leaf, Step


class Games(NamedTuple):
    """Summary of finished games, [env] or [member]. Lengths are valid agent steps.

    Without a game the minimum is +inf and the maximum -inf, so that summaries merge by min/max.
    """

    count: Leaf
    return_sum: Leaf
    return_min: Leaf
    return_max: Leaf
    length_sum: Leaf


class EpisodeStats(NamedTuple):
    """Running statistics, every leaf [env].

    current_return, current_length: of the game in progress.
    latest_return, latest_length: of the last finished game; 0 where `finished` is 0.
    finished: games since the start.
    window: games finished since the last `clear`.
    """

    current_return: Leaf
    current_length: Leaf
    latest_return: Leaf
    latest_length: Leaf
    finished: Leaf
    window: Games


def init(num_envs: int) -> EpisodeStats:
    """No game begun."""

    def zeros(dtype: type) -> np.ndarray:
        return np.zeros(num_envs, dtype)

    return EpisodeStats(
        current_return=zeros(np.float32),
        current_length=zeros(np.int32),
        latest_return=zeros(np.float32),
        latest_length=zeros(np.int32),
        finished=zeros(np.int32),
        window=_no_games(num_envs),
    )


def update(stats: EpisodeStats, step: Step) -> EpisodeStats:
    """Add one step. Invalid steps add no reward and no length; a lost life ends nothing.

    A game may be over on an invalid step, where it ended while the simulator was resetting.
    Works on traced arrays and, without touching a device, on numpy arrays.
    """
    xp = step.episode.reward.__array_namespace__()
    over = step.episode.over
    total = stats.current_return + xp.where(step.valid, step.episode.reward, 0.0)
    length = stats.current_length + step.valid
    window = stats.window
    return EpisodeStats(
        current_return=xp.where(over, 0.0, total),
        current_length=xp.where(over, 0, length),
        latest_return=xp.where(over, total, stats.latest_return),
        latest_length=xp.where(over, length, stats.latest_length),
        finished=stats.finished + over,
        window=Games(
            count=window.count + over,
            return_sum=window.return_sum + xp.where(over, total, 0.0),
            return_min=xp.minimum(window.return_min, xp.where(over, total, float("inf"))),
            return_max=xp.maximum(window.return_max, xp.where(over, total, float("-inf"))),
            length_sum=window.length_sum + xp.where(over, length, 0),
        ),
    )


def summarize(stats: EpisodeStats, num_members: int = 1) -> Games:
    """The window's games of each member, leaves [member]."""

    def members(leaf: Leaf) -> Leaf:
        return leaf.reshape(num_members, -1)

    window = stats.window
    return Games(
        count=members(window.count).sum(1, dtype=np.int32),
        return_sum=members(window.return_sum).sum(1),
        return_min=members(window.return_min).min(1),
        return_max=members(window.return_max).max(1),
        length_sum=members(window.length_sum).sum(1, dtype=np.int32),
    )


def clear(stats: EpisodeStats) -> EpisodeStats:
    """Begin a new window; games in progress go on."""
    return stats._replace(window=_no_games(stats.finished.shape[0]))


def _no_games(num_envs: int) -> Games:
    zeros = np.zeros(num_envs, np.int32)
    nothing = np.zeros(num_envs, np.float32)
    return Games(
        zeros, nothing, np.full_like(nothing, np.inf), np.full_like(nothing, -np.inf), zeros
    )
