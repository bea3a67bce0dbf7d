"""The whole page of a sweep: what its tables and curves say is what the formula gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from report.landscape import write

from rl_eval.records.table import read_table
from rl_eval.report.sweep import importances, page, response, summary

ENV = "probe/landscape"
TITLES = (
    "Hyperparameters and",
    "Learning rate and",
    "Each hyperparameter",
    "Two hyperparameters at once",
    "Importance",
    "Sensitivity across environments",
    "Best of k trials",
    "The best, the median and the worst trial",
    "What was run",
    "Seed noise",
    "Protocol",
)
FIGURES = (
    "parallel-coordinates",
    "learning-rate",
    "marginals",
    "pairs-adamw",
    "best-of-k",
    "curves",
)


@pytest.fixture(scope="module")
def rows(table):
    return [r for r in table.rows if (r.env, r.optimizer) == (ENV, "adamw")]


def test_the_response_to_the_learning_rate_is_that_of_the_runs(table, rows):
    found = response.responses(table, ENV)
    assert set(found) == {"adamw", "celo2"}
    line = found["adamw"]
    assert line.runs.sum() == 2 * len(rows)
    assert np.all(np.diff(line.value) > 0)
    assert np.all((line.low <= line.median) & (line.median <= line.high))
    peak = line.value[line.median.argmax()]
    assert 1e-4 < peak < 1e-2  # the ridge is at 1e-3
    assert line.median[0] < 0.2 * line.median.max()


def test_a_learning_rate_that_json_gives_as_an_integer_counts(table, rows):
    first = dataclasses.replace(rows[0], values={**rows[0].values, "optimizer.learning_rate": 1})
    changed = dataclasses.replace(table, rows=(first, *rows[1:]))
    assert response.responses(changed, ENV)["adamw"].runs.sum() == 2 * len(rows)


def test_the_table_counts_what_there_is_and_how_wide_the_basin_is(rows):
    trials, runs, diverged, failed, missing, best, median, *widths = summary.cells(rows)
    assert (trials, runs, failed, missing) == ("16", "32", "0", "0")
    assert int(diverged) == sum(run.status == "diverged" for row in rows for run in row.seeds) > 0
    scores = np.array([row.objective for row in rows])
    assert float(best) == pytest.approx(scores.max(), rel=1e-3)
    assert float(median) == pytest.approx(np.median(scores), rel=1e-3)
    half = np.mean(scores >= 0.5 * scores.max())
    assert widths[2] == f"{half:.0%}"


def test_a_trial_with_a_failed_seed_has_no_score(rows):
    failed = [
        dataclasses.replace(
            row, seeds=(dataclasses.replace(row.seeds[0], status="failed", objective=None),)
        )
        for row in rows
    ]
    assert summary.cells(failed)[3:] == ["16", "0", "-", "-", "-", "-", "-"]


def test_the_page_has_every_section_and_is_the_same_again(table, report):
    for title in TITLES:
        assert f"<h2>{title}" in report
    assert "rl-eval sweep --space landscape.yaml" in report
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert page.document(table, page.analysed(table)) == report


def test_every_figure_is_a_file_too(table, rows, tmp_path):
    html, *files = page.render(dataclasses.replace(table, rows=tuple(rows)), tmp_path)
    assert html.read_text().startswith("<!DOCTYPE html>")
    assert {file.suffix for file in files} == {".png", ".svg", ".pdf"}
    assert {file.stem for file in files} == {f"{name}-probe-landscape" for name in FIGURES}


def test_a_sweep_without_learning_rates_has_no_such_section(table):
    rows = tuple(dataclasses.replace(row, values={}) for row in table.rows)
    assert response.section(dataclasses.replace(table, rows=rows)) is None


def test_importances_rank_as_the_formula_was_made(tmp_path):
    planned = write(tmp_path, ("probe/landscape",), ("adamw",), trials=64, seeds=(0, 1))
    assert len(planned) == 64
    table = read_table(tmp_path)
    found = importances.of_table(table)
    assert "<td>learning_rate</td>" in importances.section(table, found).body
    for method in found["probe/landscape", "adamw"]:
        share = dict(zip(method.names, method.mean, strict=True))
        assert max(share, key=share.get) == "optimizer.learning_rate"
        assert share["hparams.ent_coef"] < 0.1 < share["optimizer.learning_rate"]
        assert sum(share.values()) == pytest.approx(1)


def test_few_trials_have_no_importances(rows, table):
    assert importances.of_rows(rows, table.sweep.axes["adamw"]) is None
    found = importances.of_table(table)
    assert "too little: celo2 in probe/landscape" in importances.section(table, found).body
