"""Resampling keeps envs apart and pairs together, and finds known standard errors."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.stats import aggregate, bootstrap

SCORES = np.random.default_rng(5).normal(size=(20, 3)) + 10.0 * np.arange(3)


def run(statistic, *samples, seed=0, **options):
    return bootstrap.interval(statistic, *samples, rng=np.random.default_rng(seed), **options)


def test_the_interval_of_a_mean_has_the_width_of_its_standard_error():
    got = run(aggregate.mean, SCORES, level=0.9, resamples=20_000)
    # Within envs only: the distance between envs is no uncertainty.
    error = np.sqrt((SCORES.var(axis=0) / 20).sum()) / 3
    assert got.estimate == SCORES.mean()
    ends = SCORES.mean() + 1.6449 * error * np.array([-1, 1])
    np.testing.assert_allclose([got.low, got.high], ends, atol=0.06 * error)


def test_runs_are_drawn_from_their_own_env():
    def widest(stack):
        return np.abs(stack - 10.0 * np.arange(3)).max(axis=(-2, -1))

    assert run(widest, SCORES).high < 5


def test_pairs_stay_together():
    shifted = SCORES + 1.0

    def change(a, b):
        return aggregate.iqm(a) - aggregate.iqm(b)

    together = run(change, shifted, SCORES, paired=True)
    np.testing.assert_allclose([together.low, together.high], 1.0)
    apart = run(change, shifted, SCORES)
    assert apart.high - apart.low > 0.1


def test_unpaired_samples_may_have_different_numbers_of_runs_but_pairs_may_not():
    def change(a, b):
        return aggregate.mean(a) - aggregate.mean(b)

    assert run(change, SCORES, SCORES[:5]).low < run(change, SCORES, SCORES[:5]).high
    with pytest.raises(ValueError, match=r"paired samples \[run, env\] must have one shape"):
        run(change, SCORES, SCORES[:5], paired=True)


def test_the_generator_alone_decides():
    first, again, other = (run(aggregate.iqm, SCORES, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_large_samples_are_drawn_in_pieces(monkeypatch):
    whole = run(aggregate.median, SCORES)
    monkeypatch.setattr(bootstrap, "CHUNK", SCORES.size * 7)
    assert run(aggregate.median, SCORES) == whole


def test_a_constant_has_no_width():
    assert run(aggregate.iqm, np.full((4, 2), 3.0)) == (3.0, 3.0, 3.0)
