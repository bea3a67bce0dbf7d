"""YAML as configurations need it."""

from __future__ import annotations

import pytest
import yaml

from rl_eval import yaml_values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1e-2", 1e-2),
        ("1e6", 1e6),
        ("+1E+6", 1e6),
        ("-2e3", -2e3),
        (".5e1", 5.0),
        ("1.5e-3", 1.5e-3),
        ("1_0e2", 1e3),
        ("7", 7),
        ("0.1", 0.1),
        ("1e", "1e"),
        ("e6", "e6"),
        ("'1e6'", "1e6"),
        ("1e6x", "1e6x"),
        ("adam-1e3", "adam-1e3"),
    ],
)
def test_numbers_are_numbers_and_texts_stay_texts(text, value):
    found = yaml_values.parse(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


def test_anchors_and_merges_work_as_ever():
    text = "base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nlist: [*b, *b]"
    assert yaml_values.parse(text)["other"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{a: 1, a: 2}", "'a' comes twice"),
        ("x: [{a: 1, 'a': 2}]", "'a' comes twice"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 5000, "inside each other"),
        ("- " * 5000, "inside each other"),
        ("a: 1\na: 2", "'a' comes twice"),
        ("!!python/object/apply:os.abort []", "could not determine a constructor"),
    ],
)
def test_what_is_not_plain_values_is_refused(text, reason):
    with pytest.raises((yaml.YAMLError, ValueError), match=reason):
        yaml_values.parse(text)


@pytest.mark.parametrize("kind", ["[*{0}, *{0}, *{0}, *{0}, *{0}, *{0}]", "{{<<: [*{0}, *{0}]}}"])
def test_aliases_of_aliases_are_counted_before_they_are_followed(kind):
    lines = ["a0: &a0 {x: 1}"] + [f"a{i + 1}: &a{i + 1} " + kind.format(f"a{i}") for i in range(40)]
    with pytest.raises(yaml.YAMLError, match="aliases make more than"):
        yaml_values.parse("\n".join(lines))
