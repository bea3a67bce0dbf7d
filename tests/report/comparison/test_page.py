"""What the page of a comparison says, against rliable and by hand, and that it opens."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from report.comparisons import ENVS, OPTIMIZERS, score, write
from rliable import metrics

from rl_eval.envs.scores import random_score
from rl_eval.records.run import RecordError
from rl_eval.report.comparison.curves import bands
from rl_eval.report.comparison.estimates import aggregates
from rl_eval.report.comparison.page import drawings, estimate, render, sections
from rl_eval.report.comparison.scores import read_comparison
from rl_eval.report.comparison.tables import cost_ratio
from rl_eval.report.comparison.words import cautions

DIVERGED = ("Acrobot-v1", "sgd", 2)
RLIABLE = {
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "iqm": metrics.aggregate_iqm,
    "optimality_gap": metrics.aggregate_optimality_gap,
}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return read_comparison(write(tmp_path_factory.mktemp("compare"), diverged=[DIVERGED]))


@pytest.fixture(scope="module")
def folder(comparison, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    render(comparison, out)
    return out


@pytest.fixture(scope="module")
def rows(folder):
    with (folder / "runs.csv").open() as file:
        return list(csv.DictReader(file))


def data(folder, name):
    text = (folder / "report.html").read_text()
    found = re.search(rf'<script type="application/json" id="{name}-data">(.*?)</script>', text)
    return json.loads(found.group(1))


def array(rows, optimizer, column="normalised"):
    """Of the CSV: [run, env]."""
    found = [
        [float(r[column]) for r in rows if (r["env"], r["optimizer"]) == (env, optimizer)]
        for env in ENVS
    ]
    return np.array(found).T


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_aggregates_on_the_page_are_rliables_of_the_runs_in_the_csv(folder, rows, optimizer):
    scores = array(rows, optimizer)
    assert scores.shape == (5, 2)
    for kind, (value, low, high) in data(folder, "aggregate")["aggregates"][optimizer].items():
        assert value == pytest.approx(RLIABLE[kind](scores), rel=1e-12)
        assert low < value < high


@pytest.mark.parametrize("optimizer", ["celo2", "sgd"])
def test_the_probability_of_improvement_is_rliables(folder, rows, optimizer):
    found = data(folder, "aggregate")["probability_of_improvement"]
    wanted = metrics.probability_of_improvement(array(rows, optimizer), array(rows, "adamw"))
    assert found[optimizer][0] == pytest.approx(wanted, rel=1e-12)
    assert set(found) == {"celo2", "sgd"}


def test_the_profile_is_the_share_of_runs_above_each_score(folder, rows):
    found = data(folder, "aggregate")
    for optimizer in OPTIMIZERS:
        scores = array(rows, optimizer)
        wanted = [(scores > threshold).mean() for threshold in found["thresholds"]]
        np.testing.assert_allclose(found["profiles"][optimizer][0], wanted)


def test_final_scores_are_the_runs_and_differences_are_of_pairs(folder):
    for final in data(folder, "final"):
        env, name = final["env"], final["optimizer"]
        wanted = [score(env, name, seed) for seed in range(5)]
        if (env, name) == DIVERGED[:2]:
            wanted[2] = random_score(env)
        assert final["scores"] == wanted
        assert final["mean"][0] == pytest.approx(np.mean(wanted))
        if name == "adamw":
            assert final["difference"] is None
        else:
            pairs = np.array(wanted) - [score(env, "adamw", seed) for seed in range(5)]
            assert final["difference"][0] == pytest.approx(pairs.mean())
            half = 2.7764 * pairs.std(ddof=1) / np.sqrt(5)  # t of 4 degrees of freedom, 97.5 %
            ends = pairs.mean() - half, pairs.mean() + half
            assert final["difference"][1:] == pytest.approx(ends, rel=1e-4)


def test_a_run_that_diverged_stays_in_the_curve_at_its_stated_score(comparison):
    band = bands(comparison, "Acrobot-v1")["sgd"]
    assert band.env_steps == (20_000, 40_000, 60_000, 80_000, 100_000)
    assert band.wall_s[-1] == 10 + (0 + 1 + 3 + 4) / 4  # of those that got there
    for i, point in enumerate(band.points, 1):
        runs = [score("Acrobot-v1", "sgd", seed) * i / 5 for seed in range(5)]
        if i > 1:
            runs[2] = random_score("Acrobot-v1")
        assert point.estimate == pytest.approx(np.mean(runs))
        assert point.low < point.estimate < point.high


def test_the_same_records_give_the_same_files(comparison, folder, tmp_path):
    render(comparison, tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    stems = {path.stem for path in folder.iterdir()}
    assert {"curves-env-steps", "curves-wall-clock", "final-scores", "runs", "report"} < stems
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_without_a_network_and_fits_the_screen(browser, folder, width):
    said = []
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    tab = context.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda r: r.url.startswith(("file:", "data:")) or said.append(r.url))
    tab.goto((folder / "report.html").as_uri())
    drawn = tab.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth > 0)")
    assert drawn == [True] * (4 + 2 + 3 * len(ENVS))
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
    assert said == []


def test_a_failed_run_leaves_the_aggregates_with_its_seed_and_the_page_says_so(tmp_path):
    comparison = read_comparison(write(tmp_path, failed=[("CartPole-v1", "sgd", 1)]))
    found = aggregates(comparison)
    assert found.seeds["sgd"] == [0, 2, 3, 4]
    assert found.seeds["celo2"] == found.seeds["adamw"] == [0, 1, 2, 3, 4]
    said = " ".join(cautions(comparison, found))
    assert "1 of 30 runs failed" in said
    assert "Aggregates of sgd leave out its seeds 1" in said


def test_an_optimizer_without_any_score_has_no_estimate_but_a_page(tmp_path):
    lost = [("CartPole-v1", "adamw", seed) for seed in range(5)]
    comparison = read_comparison(write(tmp_path, failed=lost))
    found = estimate(comparison)
    assert set(found.aggregates.values) == {"celo2", "sgd"}
    assert found.above == {}
    text = "".join(s.body for s in sections(comparison, found, drawings(comparison, found)))
    assert "for want of a seed with a score in every environment: adamw" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": (0,)}, "One seed has no interval"),
        ({"seeds": (0, 1)}, "Below 3 seeds no difference"),
        ({"seeds": (0, 1, 2)}, "Intervals from 3 seeds are rough"),
        ({"seeds": (0, 1, 2), "envs": ENVS[:1]}, "plain mean of 3 scores"),
        ({"envs": ENVS[:1]}, "One environment says nothing of others"),
        ({"envs": (*ENVS, "Seaquest-MinAtar")}, "published references: Seaquest-MinAtar"),
        ({"cpus": ("Z80", "6502")}, "Runs were made on different machines"),
        ({}, "Nothing was tuned"),
    ],
)
def test_what_the_runs_cannot_show_is_said(tmp_path, options, words):
    comparison = read_comparison(write(tmp_path, **options))
    assert words in " ".join(cautions(comparison, aggregates(comparison)))


def test_speed_is_compared_on_the_same_hardware_only(comparison, tmp_path):
    cost, baseline = (comparison.costs["CartPole-v1", name] for name in ("sgd", "adamw"))
    assert cost_ratio(cost, baseline, "sps") == 3000 / 2000
    assert cost_ratio(cost, baseline, "state_multiple") == 3 / 2
    other = read_comparison(write(tmp_path, cpus=("Z80", "6502")))
    cost, baseline = (other.costs["CartPole-v1", name] for name in ("sgd", "adamw"))
    assert cost_ratio(cost, baseline, "sps") is None
    assert cost_ratio(cost, baseline, "state_multiple") == 3 / 2


def test_records_that_do_not_belong_together_are_refused(tmp_path):
    out = write(tmp_path)
    planned = json.loads((out / "sweep.json").read_text())
    planned["planned"].pop()
    (out / "sweep.json").write_text(json.dumps(planned))
    with pytest.raises(RecordError, match="does not plan what"):
        read_comparison(out)
    (out / "sweep.json").unlink()
    with pytest.raises(RecordError, match="tuning has not ended"):
        read_comparison(out)
