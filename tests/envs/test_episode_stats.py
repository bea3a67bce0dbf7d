from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.envs import episode_stats
from rl_eval.types import Episode, Step

# Two environments by hand. The first loses a life at t=1 (the simulator then ignores a step) and
# its game at t=4; the second finishes a game of 3 and one of -2, and starts a third.
REWARD = [[1, 3], [2, 0], [0, -2], [4, 5], [1, 6]]
OVER = [[0, 1], [0, 0], [0, 1], [0, 0], [1, 0]]
VALID = [[1, 1], [1, 1], [0, 1], [1, 1], [1, 1]]
TERMINATED = [[0, 1], [1, 0], [0, 1], [0, 0], [1, 0]]


def stream(xp):
    reward, *flags = (
        xp.asarray(np.array(rows, dtype))
        for rows, dtype in [(REWARD, np.float32), (OVER, bool), (VALID, bool), (TERMINATED, bool)]
    )
    over, valid, terminated = flags
    clipped, none = xp.sign(reward), xp.zeros_like(over)
    return Step(reward, clipped, terminated, none, reward, valid, Episode(reward, over))


def collect(xp):
    stats, steps = episode_stats.init(2), stream(xp)
    if xp is jnp:
        add = lambda s, step: (episode_stats.update(s, step), None)  # noqa: E731
        return jax.jit(lambda s: jax.lax.scan(add, s, steps)[0])(stats)
    for t in range(len(REWARD)):
        stats = episode_stats.update(stats, jax.tree.map(lambda x, t=t: x[t], steps))
    return stats


@pytest.mark.parametrize("xp", [np, jnp])
def test_returns_span_lives_and_skip_ignored_steps(xp):
    stats = collect(xp)
    assert all(isinstance(leaf, xp.ndarray) for leaf in stats.window)
    np.testing.assert_array_equal(stats.latest_return, [8, -2])  # 1 + 2 + 4 + 1, 0 - 2
    np.testing.assert_array_equal(stats.latest_length, [4, 2])
    np.testing.assert_array_equal(stats.finished, [1, 2])
    np.testing.assert_array_equal(stats.current_return, [0, 11])
    np.testing.assert_array_equal(stats.current_length, [0, 2])


@pytest.mark.parametrize("xp", [np, jnp])
def test_summaries_are_per_member_and_clear_keeps_games_in_progress(xp):
    stats = collect(xp)
    together, apart = (episode_stats.summarize(stats, members) for members in (1, 2))
    assert [float(leaf[0]) for leaf in together] == [3, 9, -2, 8, 7]
    np.testing.assert_array_equal(apart.return_sum, [8, 1])
    np.testing.assert_array_equal(apart.return_min, [8, -2])
    cleared = episode_stats.clear(stats)
    assert episode_stats.summarize(cleared).count[0] == 0
    assert episode_stats.summarize(cleared).return_max[0] == -np.inf
    np.testing.assert_array_equal(cleared.current_return, stats.current_return)
    np.testing.assert_array_equal(cleared.latest_return, stats.latest_return)


def test_a_game_that_ends_while_the_simulator_resets_is_closed():
    """envpool's no-ops after a lost life can lose the last one, on a step that is not valid."""
    stats = episode_stats.init(1)
    one, yes, no = np.ones(1, np.float32), np.array([True]), np.array([False])
    for over, valid in [(no, yes), (yes, no), (no, yes), (yes, yes)]:
        reward = one * valid
        step = Step(one, reward, no, no, one, valid, Episode(reward, over))
        stats = episode_stats.update(stats, step)
    assert (stats.finished[0], stats.latest_return[0]) == (2, 2)
    assert stats.window.return_sum[0] == 3
