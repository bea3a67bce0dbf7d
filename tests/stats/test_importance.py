"""Importances of functions whose variance is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rl_eval.stats.importance import importances
from rl_eval.stats.objective import floored
from rl_eval.stats.values import Column

RNG = np.random.default_rng(0)
TRIALS = 128
RATE = 10 ** RNG.uniform(-5, -1, TRIALS)
CLIP = RNG.uniform(0, 1, TRIALS)
IDLE = RNG.uniform(0, 1, TRIALS)
# Variances 4/12 and 1/12 over the unit square: shares 0.8 and 0.2.
SCORE = 2 * (np.log10(RATE) + 5) / 4 + CLIP
RUNS = SCORE[:, None] + 0.01 * RNG.normal(size=(TRIALS, 3))
COLUMNS = {"rate": Column(RATE, log=True), "clip": Column(CLIP), "idle": Column(IDLE)}


def test_fanova_finds_the_shares_of_the_variance():
    got = importances(COLUMNS, RUNS, np.random.default_rng(0), repeats=2)
    assert got.names == ("rate", "clip", "idle")
    np.testing.assert_allclose(got.mean, [0.8, 0.2, 0.0], atol=0.06)
    assert np.all((got.low <= got.mean) & (got.mean <= got.high))


def test_ped_anova_ranks_by_what_the_best_trials_have_in_common():
    got = importances(COLUMNS, RUNS, np.random.default_rng(0), method="ped-anova", repeats=3)
    assert got.mean.argmax() == 0
    assert got.mean[2] < 0.15
    assert got.mean.sum() == pytest.approx(1)


def test_the_lowest_decades_of_a_learning_rate_count_as_much_as_the_highest():
    """Good only below 1e-4, a thousandth of the linear range and a quarter of the decades."""
    score = (RATE < 1e-4) + 0.2 * CLIP
    log = importances(COLUMNS, score[:, None], np.random.default_rng(0), repeats=1)
    linear = importances(
        {**COLUMNS, "rate": Column(RATE)}, score[:, None], np.random.default_rng(0), repeats=1
    )
    assert log.mean[0] > 0.9
    assert linear.mean[0] < 0.5


def test_divergence_at_the_floor_makes_its_cause_important():
    diverged = (IDLE > 0.8)[:, None]
    score = floored(np.where(diverged, np.nan, CLIP[:, None]), floor=-5.0)
    got = importances(COLUMNS, score, np.random.default_rng(0), repeats=1)
    assert got.mean[2] > 0.8


def test_categories_are_compared_as_such():
    kinds = RNG.choice(["relu", "gelu", "tanh"], TRIALS)
    score = (kinds == "gelu") + 0.0
    got = importances({"kind": Column(kinds), "clip": Column(CLIP)}, score[:, None], RNG, repeats=2)
    assert got.mean[0] > 0.95


def test_values_that_are_written_alike_are_told_apart():
    """With four digits both are 1, and the gain would be given to whatever else varies."""
    decay = RNG.choice([0.99995, 0.999995], TRIALS).tolist()
    flag = [(True, 1, "1", None)[i % 4] for i in range(TRIALS)]
    for values, best in ((decay, 0.999995), (flag, True)):
        score = np.array([float(v is True if best is True else v == best) for v in values])
        columns = {"value": Column(values, categorical=True), "idle": Column(IDLE)}
        for method in ("fanova", "ped-anova"):
            got = importances(columns, score[:, None], RNG, method, repeats=1)
            assert got.mean[0] > 0.8, method


def test_fanova_is_that_of_optuna_where_optuna_has_the_time():
    """Main effects of a sum over a square and a choice: 1/3, 1/12 and 1/2."""
    import optuna

    kind = RNG.integers(3, size=TRIALS)
    score = 2 * IDLE + CLIP + 1.5 * (kind == 1)
    columns = {"a": Column(IDLE), "b": Column(CLIP), "k": Column(kind.tolist(), categorical=True)}
    ours = importances(columns, score[:, None], np.random.default_rng(0), repeats=1).mean
    study = optuna.create_study()
    space = {
        "a": optuna.distributions.FloatDistribution(0, 1),
        "b": optuna.distributions.FloatDistribution(0, 1),
        "k": optuna.distributions.CategoricalDistribution((0, 1, 2)),
    }
    for a, b, k, y in zip(IDLE, CLIP, kind.tolist(), score, strict=True):
        trial = optuna.trial.create_trial(
            params={"a": a, "b": b, "k": k}, distributions=space, value=y
        )
        study.add_trial(trial)
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=16, seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    np.testing.assert_allclose(ours, [found[name] for name in "abk"], atol=0.06)
    np.testing.assert_allclose(ours, np.array([4, 1, 6]) / 11, atol=0.08)


def test_huge_scores_have_shares():
    got = importances(COLUMNS, 1e100 * RUNS, np.random.default_rng(0), repeats=1)
    np.testing.assert_allclose(got.mean, [0.8, 0.2, 0.0], atol=0.06)


def test_what_never_varies_matters_nothing():
    fixed = {**COLUMNS, "fixed": Column(np.full(TRIALS, 0.5))}
    assert importances(fixed, RUNS, RNG, repeats=1).mean[3] == 0
    assert importances(fixed, np.ones((TRIALS, 2)), RNG, repeats=1).mean.tolist() == [0.0] * 4


def test_seed_noise_widens_the_interval():
    noisy = SCORE[:48, None] + 2.0 * RNG.normal(size=(48, 3))
    some = {n: Column(c.values[:48], c.log) for n, c in COLUMNS.items()}
    wide = importances(some, noisy, np.random.default_rng(0), repeats=4)
    narrow = importances(some, RUNS[:48], np.random.default_rng(0), repeats=4)
    assert np.ptp([wide.low[0], wide.high[0]]) > 2 * np.ptp([narrow.low[0], narrow.high[0]])


def test_the_generator_alone_decides():
    few = {n: Column(c.values[:32], c.log) for n, c in COLUMNS.items()}
    first, again = (
        importances(few, RUNS[:32], np.random.default_rng(7), repeats=2) for _ in range(2)
    )
    np.testing.assert_array_equal(first.mean, again.mean)


@pytest.mark.parametrize("missing", ["optuna", "sklearn"])
def test_a_missing_extra_is_named(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"need {missing}.*pip install 'rl-eval\[sweeps\]'"):
        importances(COLUMNS, RUNS, RNG)


def test_columns_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"column 'clip' has shape \(3,\)"):
        importances({"clip": Column([1, 2, 3])}, RUNS, RNG)
    with pytest.raises(ValueError, match="column 'rate' is on a log scale but holds"):
        importances({"rate": Column(RATE - 0.1, log=True)}, RUNS, RNG)
