"""Views of a sweep against answers worked by hand on tables of a few rows."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from rl_eval.records.scored import Curve, SeedRun
from rl_eval.records.sweep import AxisRecord, SweepRecord
from rl_eval.records.table import Row, Table
from rl_eval.report.sweep import (
    best_of_k,
    curves,
    marginals,
    noise,
    overview,
    pairs,
    pairs_figure,
    parcoords_figure,
    parcoords_page,
    protocol,
    response,
    sensitivity,
)
from rl_eval.report.sweep.columns import columns, scored
from rl_eval.report.sweep.parcoords import OFF_SCALE, build

RATE = AxisRecord("optimizer.learning_rate", "learning_rate", "log", 1e-4, 1e-2)
DECAY = AxisRecord("optimizer.weight_decay", "weight_decay", "log", 1e-6, 1e-2)
GAMMA = AxisRecord("hparams.gamma", "gamma", "choice", values=(0.9, 0.99))
AXES = (RATE, DECAY, GAMMA)
ENV, SHIFTED = "probe/landscape", "probe/landscape-shifted"  # normalised by 100


def row(name, scores, rate=1e-3, decay=1e-4, gamma=0.9, env=ENV, **extra):
    values = dict(zip((a.key for a in AXES), (rate, decay, gamma), strict=True))
    runs = tuple(SeedRun(i, "completed", score, **extra) for i, score in enumerate(scores))
    return Row(name, "adamw", env, values, runs)


def table(*rows):
    seeds = tuple(range(len(rows[0].seeds)))
    return Table(
        SweepRecord(1, None, "", "sobol", 0, seeds, {"adamw": AXES}, ()), "final", rows, ()
    )


# ---- columns, marginals, pairs ------------------------------------------------------------

FOUR = (
    row("a", [10.0, 10.0], rate=1e-4, gamma=0.9),
    row("b", [30.0, 50.0], rate=2e-4, gamma=0.9),
    row("c", [60.0, 80.0], rate=9e-3, gamma=0.99),
    row("d", [20.0, 20.0], rate=1e-2, gamma=0.99, decay=0.0),
)


@pytest.fixture
def found():
    plot = build(table(*FOUR), ENV)
    lines = scored(plot, "adamw")
    return lines, columns(plot, lines)


def test_columns_are_heights_and_bins_whatever_the_scale(found):
    lines, (rate, decay, gamma) = found
    assert [line.row.id for line in lines] == ["a", "d", "b", "c"]  # the best last
    heights = [0, 1, math.log10(2) / 2, math.log10(90) / 2]
    assert rate.places == pytest.approx(heights, abs=1e-4)
    assert rate.bins(4).tolist() == [0, 3, 0, 3]
    assert gamma.places.tolist() == [0.25, 0.75, 0.25, 0.75]  # the ticks, without the spread
    assert (gamma.bins(9).tolist(), gamma.count(9)) == ([0, 1, 0, 1], 2)
    assert decay.places.tolist() == [0.5, OFF_SCALE, 0.5, 0.5]  # a zero on a log axis
    assert decay.bins(4).tolist() == [2, -1, 2, 2]


def test_a_cell_of_a_pair_is_the_mean_of_its_trials(found):
    lines, (rate, decay, gamma) = found
    assert pairs.parts(len(lines)) == 3
    nothing = np.nan
    both = pairs_figure.cells(rate, gamma, lines)
    np.testing.assert_array_equal(both, [[25, nothing, nothing], [nothing, nothing, 45]])
    off = pairs_figure.cells(gamma, decay, lines)  # "d" is not on the scale of weight decay
    np.testing.assert_array_equal(off, [[nothing] * 2, [25, 70], [nothing] * 2])


def test_the_page_has_the_same_cells_in_its_data():
    (plot,) = pairs.section(table(*FOUR)).data["plots"]
    assert [axis["label"] for axis in plot["axes"]] == ["learning_rate", "weight_decay", "gamma"]
    (panel,) = plot["panels"]
    assert panel["counts"] == [3, 3, 2]
    lines = parcoords_page.section(table(*FOUR)).data["plots"][plot["plot"]]["lines"]
    ids = [lines[i][0] for i in panel["lines"]]
    bins = dict(zip(ids, zip(*panel["bins"], strict=True), strict=True))
    assert bins["b"] == (0, 1, 0)
    assert bins["d"] == (2, -1, 1)
    assert {line[0]: line[5] for line in lines} == {"a": 10, "b": 40, "c": 70, "d": 20}


def test_a_marginal_has_every_trial_and_the_median_of_its_runs():
    env, figure = next(marginals._figures(table(*FOUR)))
    gamma = figure.axes[2]
    points, median = gamma.lines
    assert env == ENV
    assert points.get_ydata().tolist() == [10, 20, 40, 70]
    assert median.get_xdata().tolist() == [0.25, 0.75]
    assert median.get_ydata().tolist() == [20, 40]  # of 10 10 30 50 and of 60 80 20 20
    assert [text.get_text() for text in gamma.get_xticklabels()] == ["0.9", "0.99"]
    ticks = [text.get_text() for text in figure.axes[1].get_xticklabels()]
    assert ticks[0] == "0"  # off the scale of the logarithm


@pytest.mark.parametrize("rates", [[0.0, *np.geomspace(1e-6, 1e-2, 12)], [0.0], [0.0, -1.0, 1e-3]])
def test_a_learning_rate_of_zero_is_drawn_beside_the_logarithm(rates):
    swept = table(*(row(str(i), [1e100, -1e100], rate=r) for i, r in enumerate(rates)))
    ((_, figure),) = response._figures(swept)
    figure.draw_without_rendering()
    panel = figure.axes[0]
    ticks = dict(
        zip((t.get_text() for t in panel.get_xticklabels()), panel.get_xticks(), strict=True)
    )
    assert "0" in ticks
    drawn = np.concatenate([line.get_xdata() for line in panel.lines])
    assert ticks["0"] in drawn
    assert np.all(drawn > 0)


LONG = "exponential_decay_rate_of_the_second_moment_estimate"


def test_long_names_do_not_run_into_each_other():
    axes = tuple(
        AxisRecord(f"optimizer.{LONG}{i}", f"{LONG}{i}", "choice", values=(f"{LONG}{i}", "b", "c"))
        for i in range(4)
    )
    rows = tuple(
        Row(str(i), LONG, ENV, {a.key: a.values[(i + j) % 3] for j, a in enumerate(axes)},
            (SeedRun(0, "completed", float(i)),))
        for i in range(9)
    )  # fmt: skip
    swept = Table(SweepRecord(1, None, "", "grid", 0, (0,), {LONG: axes}, ()), "final", rows, ())
    plot = build(swept, ENV)
    figure = parcoords_figure.draw(plot, (LONG,))
    figure.draw_without_rendering()
    names = [t for t in figure.axes[0].texts if t.get_text().replace("\n", "").startswith(LONG[:9])]
    boxes = [t.get_window_extent() for t in names if t.get_position()[1] > 1.2]
    boxes.append(figure.axes[0].title.get_window_extent())
    assert len(boxes) == 5
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)


# ---- best of k ----------------------------------------------------------------------------


def test_the_best_of_k_is_chosen_by_one_half_and_scored_by_the_other():
    # Chosen by seed 0 the order is 1, 3, 2 and by seed 1 it is 3, 2, 1 (worst to best).
    values = np.array([[1.0, 60.0], [9.0, 30.0], [5.0, 0.0]])
    first, second = best_of_k.ways(values)
    assert first == pytest.approx([30, (30 + 30 + 0) / 3, 30])
    assert second == pytest.approx([5, (1 + 1 + 9) / 3, 1])


def test_with_one_seed_the_same_run_chooses_and_scores_and_the_page_says_so():
    assert best_of_k.ways(np.array([[3.0], [6.0]])) == pytest.approx(np.array([[4.5, 6.0]]))
    assert "flatters" in best_of_k.section(table(*(row(i, [float(i)]) for i in "123"))).body


def test_the_order_of_the_trials_and_ties_tell_nothing_of_held_out_scores():
    """At k = 2 seed 0 cannot tell the trials apart, and seed 1 takes the second: 300 and 500."""
    tied = np.array([[500.0, 100.0], [500.0, 500.0]])
    for values in (tied, tied[::-1]):
        assert best_of_k.ways(values)[:, 1].mean() == pytest.approx(400)
    rng = np.random.default_rng(0)
    equal = rng.choice([100.0, 500.0], size=(64, 4))
    equal = equal[np.argsort(equal.mean(axis=1))]
    mean = best_of_k.ways(equal).mean(axis=0)
    np.testing.assert_allclose(mean, equal.mean(), atol=40)  # no trial is better than another


def test_a_best_that_falls_with_k_is_explained_and_only_then():
    good = [row(str(i), [float(i), float(i)]) for i in range(6)]
    assert "falls with k" not in best_of_k.section(table(*good)).body
    lucky = [*good, row("lucky", [90.0, 0.0])]
    assert "adamw in probe/landscape: the mean falls" in best_of_k.section(table(*lucky)).body


# ---- curves -------------------------------------------------------------------------------


def test_the_best_the_median_and_the_worst_trial_are_drawn_with_every_seed():
    line = Curve((1, 2), (0.0, 5.0))
    ends = {"a": 4.0, "b": 0.0, "c": 9.0, "d": 7.0, "e": 1.0}
    rows = [row(name, [end, end + 2], curve=line) for name, end in ends.items()]
    picked = curves.chosen(table(*rows), ENV, "adamw")
    assert {place: r.id for place, r in picked.items()} == {
        "best": "c",
        "median": "a",
        "worst": "b",
    }
    _, figure = next(curves._figures(table(*rows)))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["best: 10", "median: 5", "worst: 1"]
    assert len(figure.axes[0].lines) == 3 * (2 + 1)
    assert (
        "<td>best</td><td>10</td><td>0.001</td><td>0.0001</td><td>0.9</td><td>c</td>"
        in curves.section(table(*rows)).body
    )


def test_a_diverged_curve_ends_at_a_cross():
    lost = row("lost", [0.0, 0.0], curve=Curve((1,), (3.0,)))
    runs = tuple(dataclasses.replace(run, status="diverged") for run in lost.seeds)
    _, figure = next(curves._figures(table(dataclasses.replace(lost, seeds=runs))))
    assert [line.get_marker() for line in figure.axes[0].lines].count("x") == 2


# ---- sensitivity --------------------------------------------------------------------------


def on_both(name, here, there, **values):
    return row(name, here, **values), row(name + "s", there, env=SHIFTED, **values)


TWO = (
    *on_both("a", [80.0, 80.0], [0.0, 0.0], rate=1e-3),
    *on_both("b", [20.0, 20.0], [60.0, 60.0], rate=1e-2),
)


def section(swept):
    return sensitivity.section(swept, sensitivity.of_table(swept))


def test_sensitivity_matches_settings_over_environments_by_their_values():
    # Per environment 0.8 and 0.6; across, "a" and "b" have a mean of 0.4 each.
    found = sensitivity.of_optimizer(table(*TWO), "adamw")
    assert found.published == pytest.approx((0.7, 0.4, 0.3, 1))
    assert found.held_out == found.low == found.high == pytest.approx(found.published)


def test_a_sensitivity_that_noise_could_be_is_said_to_be_of_too_few_seeds():
    noisy = (
        *on_both("a", [90.0, 10.0], [20.0, 80.0], rate=1e-3),
        *on_both("b", [10.0, 80.0], [90.0, 0.0], rate=1e-2),
    )
    assert "2 seeds are too few to say" in section(table(*noisy)).body
    assert "too few to say" not in section(table(*TWO)).body


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (TWO[::2], "One environment"),
        ([dataclasses.replace(r, seeds=r.seeds[:1]) for r in TWO], "at least two"),
        ([TWO[0], TWO[3]], "different points"),
        (TWO[:3], "1 settings were not planned for every environment"),
        ([*TWO[:3], row("bs", [None, 1.0], rate=1e-2, env=SHIFTED)], "1 of 2 settings lack"),
        ([dataclasses.replace(r, env=r.env.replace(SHIFTED, "my:Env")) for r in TWO], "my:Env"),
        ([row("a", [0.0, 0.0]), row("b", [0.0, 0.0], env=SHIFTED)], "Nothing was varied"),
    ],
)
def test_where_there_is_no_sensitivity_the_page_says_why(rows, words):
    body = section(table(*rows)).body
    assert "adamw: not computable." in body
    assert words in body
    assert "<table" not in body


CLOSE = AxisRecord("optimizer.b2", "b2", "choice", values=(0.99995, 0.999995))
FLAG = AxisRecord("optimizer.flag", "flag", "choice", values=(True, 1, "1", None))


def with_choices(*rows):
    """Trials of `CLOSE` and `FLAG`, from scores by environment."""
    found = []
    for i, (b2, flag, here, there) in enumerate(rows):
        values = {CLOSE.key: b2, FLAG.key: flag}
        for env, score in ((ENV, here), (SHIFTED, there)):
            runs = tuple(SeedRun(seed, "completed", score) for seed in range(2))
            found.append(Row(f"{env[-1]}{i}", "adamw", env, values, runs))
    axes = {"adamw": (CLOSE, FLAG)}
    sweep = SweepRecord(1, None, "", "grid", 0, (0, 1), axes, ())
    return Table(sweep, "final", tuple(found), ())


def test_values_that_are_written_alike_are_settings_of_their_own():
    swept = with_choices(
        *((0.99995, flag, 90.0, 10.0) for flag in FLAG.values),
        *((0.999995, flag, 10.0, 90.0) for flag in FLAG.values),
    )
    assert len(overview.settings(swept)["adamw"]) == 8
    found = sensitivity.of_optimizer(swept, "adamw")
    assert found.complete
    assert found.published == pytest.approx((0.9, 0.5, 0.4, 1))
    plot = build(swept, ENV)
    at = [axis.key for axis in plot.axes].index(CLOSE.key)
    assert [text for _, text in plot.axes[at].ticks] == ["0.99995", "0.999995"]
    assert {line.places[at] for line in plot.lines} == {0.25, 0.75}
    flags = plot.axes[at + 1]
    assert [text for _, text in flags.ticks] == ["true", "1", '"1"', "none"]
    assert len({line.places[at + 1] for line in plot.lines}) == 4


def test_a_design_without_a_grid_says_what_was_measured_and_what_a_model_says():
    rng = np.random.default_rng(0)
    rows = []
    for i, (rate, decay) in enumerate(rng.random((24, 2))):
        heights = [100 * math.exp(-(((rate - centre) / 0.2) ** 2)) for centre in (0.2, 0.8)]
        values = {"rate": 10 ** (2 * rate - 4), "decay": 10 ** (4 * decay - 6)}
        rows += on_both(str(i), *([h, h] for h in heights), **values)
    body = section(table(*rows)).body
    assert "lies from 1 to 2. The number shown is by a model" in body
    assert "<td>dimensionality</td><td>1</td><td>1</td><td>1 to 2</td>" in body


# ---- overview, noise, protocol ------------------------------------------------------------


def test_the_overview_needs_a_score_in_every_environment():
    lost = row("bs", [None, 60.0], rate=1e-2, env=SHIFTED)
    own = overview.settings(table(*TWO[:3], lost))["adamw"]
    assert [r.id for r in own] == ["a+as", "b+bs"]
    assert [r.objective for r in own] == [pytest.approx(0.4), None]
    assert own[1].seeds[1].objective == pytest.approx(0.4)
    assert overview.extended(table(*TWO[::2])).envs == (ENV,)


def test_noise_is_of_seeds_and_doubtful_where_it_is_as_large_as_the_differences():
    # Deviations of 1 about every mean: standard deviation sqrt(2), of a mean 1.
    sound = table(row("a", [9.0, 11.0]), row("b", [49.0, 51.0]))
    found = noise.of_rows(sound, ENV, "adamw")
    assert (found.per_run, found.per_trial) == pytest.approx((math.sqrt(2), 1))
    assert "mostly seed noise" not in noise.section(sound).body
    drowned = table(row("a", [0.0, 50.0]), row("b", [10.0, 40.0]))
    assert "adamw in probe/landscape: mostly seed noise" in noise.section(drowned).body
    assert noise.section(table(row("a", [1.0]))) is None


def test_the_protocol_is_read_from_the_configurations_and_leaves_out_what_varied():
    config = {
        "env": {"id": ENV},
        "optimizer": {"name": "adamw", "hyperparameters": {"learning_rate": 1e-3, "b1": 0.9}},
        "hparams": {"gamma": 0.9},
        "evaluation": {"every": 50_000, "episodes": 8, "policy": "greedy"},
        "total_timesteps": 100_000,
        "seeds": [0],
    }
    swept = table(row("a", [1.0, 2.0], config=config))
    assert protocol.fixed(swept) == {
        (ENV, "adamw"): {
            "optimizer.b1": 0.9,
            "evaluation.every": 50_000,
            "evaluation.episodes": 8,
            "evaluation.policy": "greedy",
            "total_timesteps": 100_000,
        }
    }
    body = protocol.section(swept).body
    assert "Budget: 100,000 agent steps per run." in body
    assert "every 50,000 agent steps and after the last, 8 whole games of the greedy" in body
    assert "With 8 games, the score of an evaluation is noisy itself." in body
    assert "Divergence counts as a score of 0 in probe/landscape" in body
    assert protocol.section(table(row("a", [1.0]))) is None
