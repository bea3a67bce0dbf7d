"""A sweep of environments that are a formula, through the whole pipeline: what the report says of
it is what follows from the formula by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.cli.main import main
from rl_eval.records.table import read_table
from rl_eval.report.sweep import importances, noise, overview, pairs_figure, sensitivity, summary
from rl_eval.report.sweep.columns import columns, scored
from rl_eval.report.sweep.parcoords import build

# A full grid of 4 * 3 * 3 * 2 = 72 settings. In probe/landscape the best learning rate is 1e-3
# and more than 1e-2 diverges, in probe/landscape-shifted 1e-2 and more than 1e-1.
SPACE = """
description: a grid over the formula
design: grid
optimizer: {learning_rate: {choice: [1.0e-4, 1.0e-3, 5.0e-3, 5.0e-2]}}
ppo:
  gamma: {choice: [0.9, 0.95, 0.99]}
  gae_lambda: {choice: [0.8, 0.9, 0.99]}
  ent_coef: {choice: [1.0e-4, 1.0e-2]}
"""
# By hand, with d the decades from the best learning rate and ridge = exp(-0.5 (d / 0.4)^2):
#             landscape                           shifted
#   1e-4      d = 1        0.0439369              d = 2        0.0000037
#   1e-3      d = 0        1                      d = 1        0.0439369
#   5e-3      d = 0.69897  0.2172420              d = 0.30103  0.7533807
#   5e-2      diverges     0                      d = 0.69897  0.2172420
# The interaction is 1 where gamma is 0.95 or gae_lambda is 0.9: in 5 * 2 settings of each rate.
# Seeds 0 and 1 add 1 and -1 to 100 times that, so that means of both are exact.
PER_ENV = (1 + 0.7533807) / 2
ACROSS = (1 + 0.0439369) / 2  # by 1e-3; 5e-3 has (0.2172420 + 0.7533807) / 2, which is less
SENSITIVITY = 0.3547219  # their difference
DIMENSIONALITY = 1  # the learning rate alone, set per environment, reaches the whole of PER_ENV
# Held out, which seed of a setting and environment chooses is drawn. Of ten equal settings some was
# lucky by 0.01 (none with a chance of 2^-10), is chosen, and scores 0.01 less; across environments,
# where a lucky one must be so in both, the chance is 1 - (3/4)^10.
HELD_OUT = (PER_ENV - 0.01, ACROSS - 0.01 * (1 - 0.75**10))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    space, out = folder / "space.yaml", folder / "sweep"
    space.write_text(SPACE)
    envs = "probe/landscape,probe/landscape-shifted"
    args = ["--space", str(space), "--env", envs, "--optimizers", "adamw", "--seeds", "2"]
    with pytest.raises(SystemExit) as ended:
        main(["sweep", *args, "--workers", "1", "--out", str(out)])
    assert not ended.value.code
    return read_table(out)


def test_sensitivity_and_dimensionality_are_those_worked_by_hand(table):
    found = sensitivity.of_optimizer(table, "adamw")
    wanted = (PER_ENV, ACROSS, SENSITIVITY, DIMENSIONALITY)
    assert found.published == pytest.approx(wanted, abs=1e-6)
    assert found.held_out[:2] == pytest.approx(HELD_OUT, abs=5e-4)
    assert found.held_out.sensitivity == pytest.approx(HELD_OUT[0] - HELD_OUT[1], abs=5e-4)
    assert found.held_out.dimensionality == 1
    assert found.complete
    for low, value, high in zip(found.low, wanted, found.high, strict=True):
        assert low <= value <= high
    body = sensitivity.section(table, {"adamw": found}).body
    assert "<td>sensitivity</td><td>0.355</td><td>0.354</td>" in body
    assert "<td>dimensionality</td><td>1</td><td>1</td><td>1 to 1</td>" in body
    assert "upper bound" not in body


def test_importances_rank_as_the_formula_was_made(table):
    rows = [row for row in table.rows if row.env == "probe/landscape"]
    fanova, ped = importances.of_rows(rows, table.sweep.axes["adamw"])
    share = {name.partition(".")[2]: s for name, s in zip(fanova.names, fanova.mean, strict=True)}
    assert max(share, key=share.get) == "learning_rate"
    assert min(share, key=share.get) == "ent_coef"
    assert share["ent_coef"] < 0.01 < min(share["gamma"], share["gae_lambda"])
    best = dict(zip(ped.names, ped.mean, strict=True))
    assert max(best, key=best.get) == "optimizer.learning_rate"


def test_the_divergent_region_is_counted_and_drawn_below_the_others(table):
    # One of four learning rates, in one environment: 18 settings of 2 seeds.
    rows = {env: [row for row in table.rows if row.env == env] for env in table.envs}
    counts = {env: summary.cells(own)[:3] for env, own in rows.items()}
    assert counts["probe/landscape"] == ["72", "144", "36"]
    assert counts["probe/landscape-shifted"] == ["72", "144", "0"]
    plot = build(table, "probe/landscape")
    at = [axis.key for axis in plot.axes].index("outcome")
    assert [text for _, text in plot.axes[at].ticks] == ["diverged", "completed"]
    low = {line.row.id for line in plot.lines if line.heights[at] < 0.5}
    assert low == {
        row.id for row in rows["probe/landscape"] if row.values["optimizer.learning_rate"] == 5e-2
    }


def test_the_heat_map_of_a_pair_shows_the_interaction(table):
    plot = build(table, "probe/landscape")
    lines = scored(plot, "adamw")
    by_name = {column.axis.label: column for column in columns(plot, lines)}
    found = pairs_figure.cells(by_name["gae_lambda"], by_name["gamma"], lines)
    # Mean ridge of the four learning rates (the fourth diverges), times 1 - 0.75 * the distances
    # of gamma, 1, 0 and 0.8, and of gae_lambda, 1, 0 and 0.9.
    ridge = (0.0439369 + 1 + 0.2172420 + 0) / 4
    shape = [[0.25, 1, 0.325], [1, 1, 1], [0.4, 1, 0.46]]
    np.testing.assert_allclose(found, 100 * ridge * np.array(shape), rtol=1e-5)


def test_the_overview_is_the_mean_of_the_normalised_environments(table):
    whole = overview.extended(table)
    rows = [row for row in whole.rows if row.env == overview.ALL]
    assert len(rows) == 72
    best = max(rows, key=lambda row: row.objective)
    assert best.values["optimizer.learning_rate"] == 1e-3
    assert best.objective == pytest.approx(ACROSS, abs=1e-6)
    assert [run.objective for run in best.seeds] == pytest.approx([ACROSS + 0.01, ACROSS - 0.01])
    lost = [row for row in rows if row.values["optimizer.learning_rate"] == 5e-2]
    assert {run.status for row in lost for run in row.seeds} == {"diverged"}


def test_seed_noise_is_that_of_the_formula(table):
    # Deviations are 1 and -1: the standard deviation of one run is sqrt(2).
    found = noise.of_rows(table, "probe/landscape-shifted", "adamw")
    assert found.per_run == pytest.approx(np.sqrt(2))
    assert found.per_trial == pytest.approx(1.0)
