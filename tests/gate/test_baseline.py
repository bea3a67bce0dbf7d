"""Baselines are evidence: what was recorded is read back, and nothing else is."""

from __future__ import annotations

import dataclasses
import json

import pytest
from gate.examples import baseline_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_eval.gate import baseline
from rl_eval.gate.baseline import BaselineError, digest, load, write


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "baseline.json"
    write(path, baseline_of())
    return path


def rewritten(file, change, sign=True):
    """The file after `change`, with a digest that fits if `sign`."""
    document = json.loads(file.read_text())
    change(document)
    if sign:
        document.pop("sha256", None)
        document["sha256"] = digest(document)
    file.write_text(json.dumps(document))
    return file


def test_what_was_recorded_is_read_back(file):
    assert load(file) == baseline_of()
    assert load(file).tiers == ("benchmark",)


def test_layout_and_order_of_keys_do_not_matter(file):
    document = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(document.items())), indent=7))
    assert load(file) == baseline_of()


def raise_score(document):
    document["benchmark"]["units"][0]["runs"][0]["score"] += 0.01


def test_a_changed_score_is_refused(file):
    with pytest.raises(BaselineError, match="changed after it was recorded"):
        load(rewritten(file, raise_score, sign=False))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(kind="something else"), "not a baseline"),
        (lambda d: d.update(format=2), "format 2 is newer than 1.*update rl-eval"),
        (lambda d: d.update(extra=1), "unknown key extra"),
        (lambda d: d.pop("release"), "release is missing"),
        (lambda d: d["benchmark"].update(seeds=[0, 1]), "at least 3 distinct seeds"),
        (lambda d: d["benchmark"]["seeds"].reverse(), "other seeds"),
        (lambda d: d["benchmark"]["units"].pop(), None),
        (lambda d: d["benchmark"]["units"][0]["runs"].pop(), "other seeds"),
        (lambda d: d["benchmark"]["units"][1].update(name="CartPole-v1"), "name of its own"),
        (lambda d: d["benchmark"]["units"][0]["runs"][0].update(score="1"), "valid number"),
        (lambda d: d["benchmark"]["units"][0]["config"].update(seeds=[]), "seeds must be"),
    ],
)
def test_foreign_content_is_refused_in_one_line(file, change, words):
    rewritten(file, change)
    if words is None:
        assert len(load(file).benchmark.units) == 1
        return
    with pytest.raises(BaselineError, match=words) as refused:
        load(file)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BaselineError, match=r"nowhere.json: No such file"):
        load(tmp_path / "nowhere.json")


WHOLE = json.loads(json.dumps(dataclasses.asdict(baseline_of()), allow_nan=False))
SHARED_FOLDER = [HealthCheck.function_scoped_fixture]  # each example writes the same file
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """Every path into nested lists and dictionaries."""
    yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


PLACES = [path for path in places(WHOLE) if path]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.sampled_from(PLACES), value=VALUES, sign=st.booleans())
def test_a_mangled_value_is_read_or_refused_but_never_crashes(tmp_path, place, value, sign):
    document = json.loads(json.dumps(WHOLE))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    document["sha256"] = digest(document if sign else WHOLE)
    path = tmp_path / "mangled.json"
    path.write_text(json.dumps(document))
    try:
        load(path)
    except BaselineError as error:
        assert "\n" not in str(error)
    else:
        assert sign or document == {**WHOLE, "sha256": digest(WHOLE)}


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mangled_bytes_never_crash(tmp_path, data):
    text = bytearray(json.dumps({**WHOLE, "sha256": digest(WHOLE)}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    text = text[: data.draw(st.integers(0, len(text)))]
    path = tmp_path / "mangled.json"
    path.write_bytes(text)
    try:
        load(path)
    except BaselineError:
        return
    assert json.loads(text) == {**WHOLE, "sha256": digest(WHOLE)}


def test_the_kind_is_what_readers_look_for():
    assert WHOLE["kind"] == baseline.KIND
