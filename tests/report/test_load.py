"""Many runs: what is drawn and carried is bounded or grows with their number, never faster."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from report.test_views import ENV, row, table

from rl_eval.cli.report import told
from rl_eval.report.figures import MANY
from rl_eval.report.page import embedded
from rl_eval.report.sweep import best_of_k, pairs, pairs_figure, parcoords_figure, parcoords_page
from rl_eval.report.sweep.columns import columns, scored
from rl_eval.report.sweep.parcoords import build
from rl_eval.stats import fanova, landscape, surrogate
from rl_eval.terminal import Console


def of_trials(count, **extra):
    rng = np.random.default_rng(0)
    rates, scores = 10 ** rng.uniform(-4, -2, count), rng.random(count)
    points = zip(rates.tolist(), scores.tolist(), strict=True)
    return table(*(row(f"{i:06x}", [s], rate=r, **extra) for i, (r, s) in enumerate(points)))


@pytest.fixture(scope="module")
def swept():
    return {count: of_trials(count) for count in (500, 2000)}


def size(section):
    return len(embedded(section.data))


def test_the_data_of_the_page_grow_no_faster_than_the_trials(swept):
    for view in (parcoords_page, pairs):
        few, many = (size(view.section(swept[count])) for count in (500, 2000))
        assert many < 4.2 * few


def test_ten_thousand_runs_of_eight_hyperparameters_fit_a_page(swept):
    assert size(parcoords_page.section(swept[2000])) / 2000 < 200  # bytes; of 3 axes and no curve


def test_a_figure_draws_no_more_than_can_be_told_apart_and_says_so(swept):
    plot = build(swept[2000], ENV)
    figure = parcoords_figure.draw(plot, ("adamw",))
    panel = figure.axes[0]
    assert len(panel.collections[0].get_paths()) == 2 * MANY
    assert f"2000 trials, of which {MANY} are drawn" in panel.get_title(loc="left").replace(
        "\n", " "
    )
    shown = parcoords_figure._some(plot.lines)
    assert (shown[0], shown[-1]) == (plot.lines[0], plot.lines[-1])


def test_the_best_of_k_is_evaluated_at_some_sizes_of_many(swept):
    (found,) = best_of_k._found(swept[2000], ENV).values()
    assert found.shape[1] == len(landscape.sizes_of_k(2000)) < 100


def test_a_figure_of_pairs_has_those_that_tell_most_of_many():
    lines = scored(build(of_trials(64), ENV), "adamw")
    (rate, decay, gamma) = columns(build(of_trials(64), ENV), lines)
    most = pairs_figure.MOST
    telling = dataclasses.replace(rate, places=np.linspace(0, 1, 64))  # as the lines are sorted
    got = pairs_figure.telling([decay] * most + [telling] + [gamma] * 3, lines)
    assert len(got) == most
    assert telling in got


def test_a_tree_and_a_model_see_a_bounded_number_of_trials(monkeypatch):
    import sklearn.ensemble

    asked = []
    forest = sklearn.ensemble.RandomForestRegressor

    class Watched(forest):
        def fit(self, features, objective):
            asked.append(self.max_samples)
            return super().fit(features, objective)

    monkeypatch.setattr(sklearn.ensemble, "RandomForestRegressor", Watched)
    places = np.linspace(0, 1, 3000)
    fanova.main_effects([fanova.Dimension(places)], places, trees=1, seed=0)
    assert asked == [fanova.MOST]
    rng = np.random.default_rng(0)
    kept = surrogate._some(rng.random((3000, 2)), 7, rng)
    assert len(kept) == surrogate.MOST
    assert 7 in kept


def test_curves_are_thinned_to_what_a_page_may_carry(swept):
    from rl_eval.records.scored import Curve

    curve = Curve(tuple(range(1, 201)), tuple(map(float, range(1, 201))))
    few = parcoords_page.section(of_trials(8, curve=curve)).data["plots"][0]
    assert {len(run[3]) for line in few["lines"] for run in line[7]} == {60}
    assert parcoords_page._thinned(200, 3) == [0, 100, 199]
    assert len(few["grids"]) == 1  # of env steps, once for all runs
    json.dumps(few, allow_nan=False)


def test_many_lines_are_pixels_that_brushes_still_filter(browser, swept, tmp_path):
    page = parcoords_page.render(swept[2000], tmp_path)[0]
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri())
    tab.wait_for_selector('[data-pc=chart][data-drawn="2000"]')
    assert tab.locator(".pc-lines .pc-line").count() == 0
    scale = tab.locator('[data-axis="objective"] .pc-scale').bounding_box()
    tab.mouse.move(scale["x"], scale["y"] + scale["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(scale["x"], scale["y"] - 5)
    tab.mouse.up()
    plot = build(swept[2000], ENV)
    inside = sum(line.heights[-1] >= 0.5 for line in plot.lines)
    said = tab.locator("[data-pc=count]").inner_text()
    kept = int(said.split()[0])
    assert said.endswith("of 2000 trials")
    assert abs(kept - inside) <= 0.01 * 2000  # half a pixel
    tab.wait_for_selector(f'[data-pc=chart][data-drawn="{kept}"]')
    light = """() => {
        const canvas = document.querySelector('.pc-canvas');
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return pixels.reduce((sum, value) => sum + value, 0);
    }"""
    assert tab.evaluate(light) > 0
    tab.close()


def test_what_is_done_is_shown_where_there_is_no_terminal(capsys):
    with told(Console(stderr=True), every=0.0) as tell:
        tell("importances, 1 of 2: my[bold]rule in here")
    assert "importances, 1 of 2: my[bold]rule in here" in capsys.readouterr().err
    with told(Console(stderr=True), every=60.0) as tell:
        tell("soon over")
    assert "soon over" not in capsys.readouterr().err
