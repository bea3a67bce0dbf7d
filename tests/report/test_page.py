"""The interactive page, in headless Chromium without a network."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import re

import pytest
from report.conftest import ENVS
from report.landscape import write

from rl_eval.records.scored import Curve
from rl_eval.records.table import read_table, write_csv
from rl_eval.report.page import Section, embedded, page
from rl_eval.report.sweep import overview
from rl_eval.report.sweep import page as sweep_page
from rl_eval.report.sweep.parcoords_page import render


@pytest.fixture(scope="session")
def document(table, tmp_path_factory):
    """The page of the shared sweep, with its CSV beside it."""
    folder = tmp_path_factory.mktemp("page")
    write_csv(table, folder / "trials.csv")
    return render(table, folder)[0]


@pytest.fixture(scope="session")
def rows(document):
    with (document.parent / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def open_page(browser, document):
    """Opens the page at a width; what the console and the network said must be empty after."""
    said = []
    contexts = []

    def opened(width=1280, height=1400, page=document):
        size = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=size, offline=True))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(120_000)  # a busy machine is slow, not wrong
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda r: r.url.startswith("file:") or said.append(r.url))
        tab.goto(page.as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert said == []


def shown(tab):
    """Ids of the lines that no brush has taken out."""
    return set(
        tab.eval_on_selector_all(
            ".pc-lines > .pc-line:not(.pc-off)", "nodes => nodes.map(n => n.dataset.trial)"
        )
    )


def axes(tab):
    return tab.eval_on_selector_all(".pc-axis", "nodes => nodes.map(n => n.dataset.axis)")


def brush(tab, key, low, high):
    """Drag over heights low .. high of an axis; both in [0, 1]."""
    scale = tab.locator(f'[data-axis="{key}"] .pc-scale').bounding_box()
    narrow = scale["width"] > scale["height"]

    def at(height):
        if narrow:
            return scale["x"] + height * scale["width"], scale["y"]
        return scale["x"], scale["y"] + (1 - height) * scale["height"]

    tab.mouse.move(*at(low))
    tab.mouse.down()
    tab.mouse.move(*at((low + high) / 2))
    tab.mouse.move(*at(high))
    tab.mouse.up()


def test_axes_and_lines_are_those_of_the_csv(open_page, rows):
    tab = open_page()
    env = [row for row in rows if row["env"] == rows[0]["env"]]
    assert shown(tab) == {row["trial"] for row in env}
    head = list(rows[0])
    swept = head[head.index("optimizer") + 1 : head.index("completed")]
    assert axes(tab) == ["optimizer", *swept, "outcome", "objective"]
    assert tab.locator("[data-pc=count]").inner_text() == f"{len(env)} of {len(env)} trials"


def test_environment_and_optimizer_are_chosen(open_page, rows):
    tab = open_page()
    tab.select_option("[data-pc=env]", "probe/landscape-shifted")
    tab.select_option("[data-pc=optimizer]", "adamw")
    wanted = ("probe/landscape-shifted", "adamw")
    assert shown(tab) == {r["trial"] for r in rows if (r["env"], r["optimizer"]) == wanted}
    assert "optimizer" not in axes(tab)
    assert "optimizer.mult_1d" not in axes(tab)


@pytest.mark.parametrize("width", [1280, 390])
def test_brushing_an_axis_leaves_the_lines_that_pass_it(open_page, rows, width):
    tab = open_page(width)
    env = [row for row in rows if row["env"] == rows[0]["env"]]
    brush(tab, "optimizer.learning_rate", 0.26, 0.74)  # of 1e-5 .. 1e-1: 1.1e-4 .. 9.1e-3
    inside = {r["trial"] for r in env if 1.1e-4 <= float(r["optimizer.learning_rate"]) <= 9.1e-3}
    assert 0 < len(inside) < len(env)
    assert shown(tab) == inside
    brush(tab, "objective", 0.5, 1.04)
    middle = (max(float(r["objective"]) for r in env) + min(float(r["objective"]) for r in env)) / 2
    both = {r["trial"] for r in env if r["trial"] in inside and float(r["objective"]) >= middle}
    assert 0 < len(both) < len(inside)
    assert shown(tab) == both
    tab.keyboard.press("Escape")
    assert len(shown(tab)) == len(env)


def test_a_click_on_a_brushed_axis_clears_it(open_page, rows):
    tab = open_page()
    whole = shown(tab)
    brush(tab, "hparams.gae_lambda", 0.0, 0.3)
    assert shown(tab) < whole
    brush(tab, "hparams.gae_lambda", 0.5, 0.5)
    assert shown(tab) == whole


def test_lines_without_the_hyperparameter_are_brushed_on_its_extra_tick(open_page, rows):
    tab = open_page()
    brush(tab, "optimizer.mult_1d", -0.15, -0.05)
    env = rows[0]["env"]
    assert shown(tab) == {
        r["trial"] for r in rows if r["env"] == env and not r["optimizer.mult_1d"]
    }


def test_only_the_best_share_is_kept(open_page, rows):
    tab = open_page()
    tab.fill("[data-pc=best]", "10")
    env = [row for row in rows if row["env"] == rows[0]["env"]]
    best = sorted(env, key=lambda row: (float(row["objective"]), row["trial"]))[-4:]
    assert shown(tab) == {row["trial"] for row in best}  # 10 % of 32, rounded up
    tab.uncheck("[data-pc=use-best]")
    assert len(shown(tab)) == len(env)


def test_an_axis_is_dragged_and_moved_by_the_keyboard(open_page):
    tab = open_page()
    before = axes(tab)
    name = tab.locator('[data-axis="hparams.gamma"] .pc-name').bounding_box()
    target = tab.locator('[data-axis="optimizer.learning_rate"] .pc-name').bounding_box()
    tab.mouse.move(name["x"] + 5, name["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(target["x"] + 20, target["y"] + 5, steps=3)
    tab.mouse.up()
    rest = [key for key in before if key != "hparams.gamma"]
    assert axes(tab) == [rest[0], "hparams.gamma", *rest[1:]]
    tab.locator('[data-axis="hparams.gamma"] .pc-name').focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert axes(tab) == before


@pytest.mark.parametrize("width", [1280, 390])
def test_pointing_at_a_line_shows_its_trial_and_its_curves(open_page, rows, width):
    tab = open_page(width)
    env = [row for row in rows if row["env"] == rows[0]["env"]]
    best = max(env, key=lambda row: (float(row["objective"]), row["trial"]))  # the one on top
    scale = tab.locator('[data-axis="objective"] .pc-scale').bounding_box()
    if width == 390:
        tab.mouse.move(scale["x"] + scale["width"], scale["y"] - 1)
    else:
        tab.mouse.move(scale["x"] - 1, scale["y"])
    details = tab.locator("[data-pc=details]")
    assert details.locator("code").inner_text() == best["trial"]
    assert details.locator(".pc-run").count() == 2
    assert tab.locator(".pc-top .pc-line").get_attribute("data-trial") == best["trial"]
    assert tab.locator(".pc-top .pc-seed").count() == 2
    facts = details.locator("dl").inner_text()
    for seed in (0, 1):
        assert re.search(rf"\b{seed}: ", facts)


def test_the_page_is_one_file_of_the_same_bytes_that_asks_for_nothing(document, table, tmp_path):
    text = document.read_text()
    assert render(table, tmp_path)[0].read_text() == text
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_data_cannot_leave_its_element():
    evil = {"</script><script>alert(1)</script>": "<!-- <script>"}
    text = page("<b>&", [Section("x", "</h2>", "<p>", data=evil)])
    assert text.count("<script") == text.count("</script>") == 1
    assert "&lt;b&gt;&amp;" in text
    assert "<!--" not in text
    assert json.loads(embedded(evil)) == evil


def test_five_hundred_trials_of_three_seeds_stay_below_eight_megabytes(tmp_path):
    write(tmp_path, ENVS, ("adamw",), trials=4, seeds=(0, 1, 2))
    table = read_table(tmp_path)
    steps = tuple(range(5_000, 1_005_000, 5_000))
    long = Curve(steps, tuple(123.456789 + 1e-4 * step for step in steps))
    rng = random.Random(0)
    rows = []
    for env in ENVS:
        for i in range(250):
            row = table.rows[i % 4]
            seeds = [dataclasses.replace(s, curve=long, objective=rng.random()) for s in row.seeds]
            rate = {"optimizer.learning_rate": 10 ** rng.uniform(-5, -1)}
            values = {**row.values, **rate}
            new = {"id": f"{env}{i:04x}", "env": env, "values": values, "seeds": tuple(seeds)}
            rows.append(dataclasses.replace(row, **new))
    large = dataclasses.replace(table, rows=tuple(rows))
    none = dict.fromkeys((env, "adamw") for env in overview.extended(large).envs)
    found = sweep_page.Found(none, {"adamw": "not asked for"})
    assert len(sweep_page.document(large, found).encode()) < 8_000_000


# ---- the whole page -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def whole(report, tmp_path_factory):
    """Every view of the shared sweep in one file."""
    path = tmp_path_factory.mktemp("whole") / "report.html"
    path.write_text(report)
    return path


def charts(tab):
    """Number of cells and of trials of each optimizer's heat map."""
    counted = "f => [f.querySelectorAll('.pairs-cell').length, f.querySelectorAll('circle').length]"
    return tab.eval_on_selector_all("#pairs figure", f"figures => figures.map({counted})")


def test_any_two_hyperparameters_are_shown_with_every_trial(open_page, whole, rows):
    tab = open_page(page=whole)
    tab.select_option("[data-pairs=x]", label="gamma")
    tab.select_option("[data-pairs=y]", label="num_minibatches")
    own = [r for r in rows if (r["env"], r["optimizer"]) == (rows[0]["env"], "celo2")]
    cells = {}
    for row in own:
        key = row["hparams.gamma"], row["ppo.num_minibatches"]
        cells.setdefault(key, []).append(float(row["objective"]))
    assert charts(tab)[0] == [len(cells), len(own)]
    scores = cells["0.95", "2"]
    tab.locator("#pairs figure").first.locator('[data-cell="1,1"]').dispatch_event("pointerover")
    said = tab.locator(".pairs-said").first.inner_text()
    mean, count = re.fullmatch(r"mean ([\d.e-]+) of (\d+) trials, .*", said).groups()
    assert int(count) == len(scores)
    assert float(mean) == pytest.approx(sum(scores) / len(scores), rel=1e-3)
    tab.select_option("[data-pairs=x]", label="mult_1d")  # which adamw does not have
    assert tab.locator("#pairs figure").nth(1).inner_text().endswith("has no mult_1d")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_whole_page_fits_the_screen_and_has_all_environments_at_once(open_page, whole, width):
    tab = open_page(width, page=whole)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    for choice in ("[data-pc=env]", "[data-pairs=env]"):
        tab.select_option(choice, label="all environments")
    assert len(shown(tab)) == 32
    last = tab.locator('[data-axis="objective"] .pc-name').text_content()
    assert last.startswith("final return, normalised")  # its help follows
    assert [count for _, count in charts(tab)] == [16, 16]


def test_the_best_trial_is_described_before_any_line_is_pointed_at(open_page, rows):
    tab = open_page()
    env = [row for row in rows if row["env"] == rows[0]["env"]]
    best = max(env, key=lambda row: (float(row["objective"]), row["trial"]))
    head = tab.locator("[data-pc=details] h3").inner_text()
    assert head == f"best of these: {best['optimizer']}, trial {best['trial']}"
