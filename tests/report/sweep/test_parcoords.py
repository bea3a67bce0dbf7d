"""What the parallel coordinates draw, worked by hand on a table of a few rows."""

from __future__ import annotations

import math

import pytest

from rl_eval.records.scored import SeedRun
from rl_eval.records.sweep import AxisRecord, SweepRecord
from rl_eval.records.table import Row, Table
from rl_eval.report.sweep.parcoords import OFF_SCALE, build, outcome

RATE = AxisRecord("optimizer.learning_rate", "learning_rate", "log", 1e-4, 1e-2)
DECAY = AxisRecord("optimizer.weight_decay", "weight_decay", "log", 1e-6, 1e-2)
MULT = AxisRecord("optimizer.mult_1d", "mult_1d", "linear", 1.0, 21.0)
GAMMA = AxisRecord("hparams.gamma", "gamma", "choice", values=(0.9, 0.95, 0.99))
EPOCHS = AxisRecord("ppo.update_epochs", "update_epochs", "integer", 1.0, 4.0)
SCHEDULE = AxisRecord("optimizer.schedule", "schedule", "choice", values=("cosine",))


def row(name, optimizer, score, statuses=("completed",), **values):
    runs = tuple(SeedRun(i, status, score) for i, status in enumerate(statuses))
    keys = {axis.name: axis.key for axis in (RATE, DECAY, MULT, GAMMA, EPOCHS, SCHEDULE)}
    return Row(name, optimizer, "env", {keys[k]: v for k, v in values.items()}, runs)


def table(rows, axes):
    seeds = tuple(range(max(len(r.seeds) for r in rows)))
    sweep = SweepRecord(1, None, "", "sobol", 0, seeds, axes, ())
    return Table(sweep, "final", tuple(rows), ())


def heights(plot, label):
    index = [axis.label for axis in plot.axes].index(label)
    return {line.row.id: line.heights[index] for line in plot.lines}


ROWS = [
    row("best", "celo2", 30.0, learning_rate=1e-3, mult_1d=1, gamma=0.99, update_epochs=1),
    row("worst", "celo2", 10.0, learning_rate=1e-4, mult_1d=6.0, gamma=0.9, update_epochs=4),
    row("middle", "adamw", 20.0, learning_rate=1e-2, gamma=0.9, update_epochs=2),
    row("lost", "adamw", None, ("diverged",), learning_rate=1e-2, gamma=0.9, update_epochs=2),
]
AXES = {"celo2": (RATE, MULT, GAMMA, EPOCHS), "adamw": (RATE, GAMMA, EPOCHS)}


@pytest.fixture(scope="module")
def plot():
    return build(table(ROWS, AXES), "env")


def test_axes_begin_with_the_optimizer_and_end_with_the_return(plot):
    assert [axis.label for axis in plot.axes] == [
        "optimizer",
        "learning_rate",
        "mult_1d",
        "gamma",
        "update_epochs",
        "outcome",
        "final return",
    ]


def test_the_best_trial_is_drawn_last_and_one_without_a_score_first(plot):
    assert [line.row.id for line in plot.lines] == ["lost", "worst", "middle", "best"]
    assert [line.shade for line in plot.lines] == [None, 0.0, 0.5, 1.0]
    assert (plot.low, plot.high) == (10.0, 30.0)


def test_heights_on_linear_and_logarithmic_axes(plot):
    assert heights(plot, "learning_rate") == {"best": 0.5, "worst": 0, "middle": 1, "lost": 1}
    assert heights(plot, "final return")["middle"] == 0.5


def test_what_an_axis_has_no_place_for_is_below_it_and_named(plot):
    found = heights(plot, "mult_1d")
    assert found == {"best": 0, "worst": 0.25, "middle": OFF_SCALE, "lost": OFF_SCALE}
    assert [axis.off_scale for axis in plot.axes] == ["", "", "not used", "", "", "", "no score"]
    assert heights(plot, "final return")["lost"] == OFF_SCALE


def test_lines_at_one_choice_are_spread_in_the_order_of_their_returns(plot):
    found = heights(plot, "gamma")
    assert found["best"] == pytest.approx(5 / 6, abs=1e-4)
    assert found["lost"] < found["worst"] < found["middle"]
    assert found["worst"] == pytest.approx(1 / 6, abs=1e-4)
    assert found["middle"] - found["lost"] <= 0.7 / 3


def test_few_whole_numbers_are_drawn_as_choices(plot):
    axis = next(axis for axis in plot.axes if axis.label == "update_epochs")
    assert axis.bands
    assert [text for _, text in axis.ticks] == ["1", "2", "3", "4"]


def test_an_empty_or_missing_setting_is_a_value_like_others():
    paths = AxisRecord("optimizer.paths", "paths", "choice", values=("", "embed", None))
    runs = (SeedRun(0, "completed", 1.0),)
    values = {"a": {paths.key: ""}, "b": {paths.key: None}, "c": {}}
    rows = [Row(name, "x", "env", v, runs) for name, v in values.items()]
    found = heights(build(table(rows, {"x": (paths,)}), "env"), "paths")
    assert found == {
        "a": pytest.approx(1 / 6, abs=1e-4),
        "b": pytest.approx(5 / 6, abs=1e-4),
        "c": OFF_SCALE,
    }


def test_a_zero_on_a_logarithmic_axis_has_a_tick_of_its_own():
    rows = [row("a", "velo", 1.0, weight_decay=0.0), row("b", "velo", 2.0, weight_decay=1e-4)]
    plot = build(table(rows, {"velo": (DECAY,)}), "env")
    assert heights(plot, "weight_decay") == {"a": OFF_SCALE, "b": 0.5}
    assert plot.axes[0].off_scale == "0"


def test_what_does_not_vary_has_no_axis_but_is_said():
    rows = [row("a", "adamw", 1.0, learning_rate=1e-3, schedule="cosine")]
    plot = build(table(rows, {"adamw": (RATE, SCHEDULE)}), "env")
    assert [axis.label for axis in plot.axes] == ["learning_rate", "outcome", "final return"]
    assert plot.fixed == ("schedule = cosine",)


def test_axes_of_one_name_are_told_apart():
    own = AxisRecord("optimizer.gamma", "gamma", "linear", 0.0, 1.0)
    values = {"hparams.gamma": 0.9, "optimizer.gamma": 0.5}
    rows = [Row("a", "x", "env", values, (SeedRun(0, "completed", 1.0),))]
    plot = build(table(rows, {"x": (own, GAMMA)}), "env")
    assert [axis.label for axis in plot.axes[:2]] == ["optimizer.gamma", "hparams.gamma"]


def test_a_far_score_of_divergence_does_not_press_the_others_together():
    rows = [row(str(i), "adamw", float(i), learning_rate=1e-3) for i in range(11)]
    near = [*rows, row("d", "adamw", -2.0, ("diverged",), learning_rate=1e-2)]
    far = [*rows, row("d", "adamw", -5000.0, ("diverged",), learning_rate=1e-2)]
    plots = [build(table(r, {"adamw": (RATE,)}), "env") for r in (near, far)]
    assert [(plot.low, plot.high, plot.clipped) for plot in plots] == [(-2, 10, 0), (0, 10, 1)]
    assert heights(plots[1], "final return")["d"] == 0.0


@pytest.mark.parametrize("scores", [(None, None), (3.0, 3.0), (math.pi, None)])
def test_a_plot_of_few_scores_has_a_return_axis(scores):
    rows = [row(str(i), "adamw", s, learning_rate=1e-3) for i, s in enumerate(scores)]
    plot = build(table(rows, {"adamw": (RATE,)}), "env")
    assert plot.low < plot.high
    assert len(plot.axes[-1].ticks) >= 2


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        (("completed", "completed"), "completed"),
        (("completed", "diverged"), "partly diverged"),
        (("diverged", "diverged"), "diverged"),
        (("diverged", "failed"), "failed"),
        (("completed", "missing"), "unfinished"),
        (("running", "diverged"), "unfinished"),
    ],
)
def test_the_outcome_of_a_trial_is_one_word(statuses, word):
    assert outcome(row("a", "adamw", 1.0, statuses)) == word


def test_every_trial_of_a_sweep_is_a_line_of_its_environment(request):
    swept = request.getfixturevalue("table")
    for env in swept.envs:
        lines = build(swept, env).lines
        rows = [row for row in swept.rows if row.env == env]
        assert sorted(line.row.id for line in lines) == sorted(row.id for row in rows)
        scores = [line.row.objective for line in lines]
        assert scores == sorted(scores)
