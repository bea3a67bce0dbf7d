"""The printed figure: every trial drawn, the same bytes twice, an order that grey keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from report.landscape import write

from rl_eval.records.table import read_table
from rl_eval.report.palette import RETURNS
from rl_eval.report.sweep.parcoords import build
from rl_eval.report.sweep.parcoords_figure import draw, render


def test_every_trial_is_a_curve_in_the_panel_of_its_optimizer(table):
    env = table.envs[0]
    figure = draw(build(table, env), table.optimizers)
    for panel, optimizer in zip(figure.axes, table.optimizers, strict=True):
        curves = panel.collections[0].get_paths()
        rows = [row for row in table.rows if (row.env, row.optimizer) == (env, optimizer)]
        assert len(curves) == 2 * len(rows)  # each on an edge of its own
        names = {text.get_text() for text in panel.texts}
        assert ("mult_1d" in names) == (optimizer == "celo2")
        assert {"learning_rate", "gamma", "outcome", "final return", "10⁻³"} <= names


def test_the_same_records_give_the_same_bytes(tmp_path):
    write(tmp_path / "sweep", trials=4, seeds=(0, 1))
    table = read_table(tmp_path / "sweep")
    first, second = (render(table, tmp_path / folder) for folder in ("a", "b"))
    name = "parallel-coordinates-probe-landscape"
    assert [path.name for path in first] == [f"{name}.{kind}" for kind in ("png", "svg", "pdf")]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
        assert a.stat().st_size > 10_000


def test_lightness_rises_with_the_return():
    from matplotlib import colormaps

    weights = (0.2126, 0.7152, 0.0722)
    light = [
        sum(w * c for w, c in zip(weights, colormaps[RETURNS](i / 20), strict=False))
        for i in range(21)
    ]
    assert light == sorted(light)
    red, green, blue, _ = colormaps[RETURNS](1.0)
    assert min(red, green) > 0.8 > 0.3 > blue  # yellow


def test_a_report_imports_nothing_that_trains():
    code = (
        "import sys, rl_eval.report.sweep.parcoords_figure, rl_eval.report.sweep.parcoords_page;"
        "print(*sys.modules)"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert not {"jax", "optax", "flax", "gymnax", "envpool", "optimizers"} & set(ran.stdout.split())
