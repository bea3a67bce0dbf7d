"""The picture of a coordinate check."""

from __future__ import annotations

from rl_eval.report.coordinates import render

CURVES = {"torso/dense_0": [1.0, 1.1], "logits": [0.5, 2.0]}


def test_a_panel_for_each_parametrisation_with_every_layer_named(tmp_path):
    paths = render({"standard": CURVES, "muP": CURVES}, (64, 128), tmp_path)
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf"]
    again = render({"standard": CURVES, "muP": CURVES}, (64, 128), tmp_path / ".")
    assert paths[0].read_bytes() == again[0].read_bytes()
    drawn = paths[1].read_text()
    for word in ("standard", "muP", "torso/dense_0", "logits", "width"):
        assert f"<!-- {word}" in drawn
