"""Reading configuration strictly."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.config import (
    EnvConfig,
    NetworkConfig,
    OptimizerConfig,
    PPOConfig,
    PPOHparams,
    RunConfig,
    config_id,
    to_dict,
)
from rl_eval.settings import SettingsError, merge, near, parse_assignment, read, read_file

CONFIG = RunConfig(
    env=EnvConfig("CartPole-v1"),
    optimizer=OptimizerConfig("adamw", {"learning_rate": 1e-3, "schedule": "linear"}),
    total_timesteps=1024,
    network=NetworkConfig(),
    ppo=PPOConfig(num_envs=4, num_steps=16, update_epochs=2, num_minibatches=4),
    hparams=PPOHparams(),
)


def test_a_config_survives_json():
    text = json.dumps(to_dict(CONFIG))
    assert read(RunConfig, json.loads(text), "here") == CONFIG


def test_the_id_follows_the_content():
    assert config_id(CONFIG) == config_id(dataclasses.replace(CONFIG))
    assert config_id(CONFIG) != config_id(dataclasses.replace(CONFIG, seeds=(1,)))


def test_iterations_and_horizon_are_counted_in_whole_iterations():
    config = dataclasses.replace(CONFIG, total_timesteps=200)
    assert config.num_iterations == 3
    assert config.num_gradient_steps == 3 * 2 * 4


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("ppo", "num_envs"), "8", "ppo.num_envs: input should be a valid integer, got '8'"),
        (("ppo", "num_envs"), 0, "num_envs must be at least 1, got 0"),
        (("ppo", "num_env"), 8, "unknown key ppo.num_env; did you mean num_envs"),
        (("hparams", "gamma"), None, "hparams.gamma: input should be a valid number, got None"),
        (("hparams", "gamma"), float("nan"), "hparams.gamma"),
        (("env", "path"), "gpu", "env.path: input should be 'auto', 'xla' or 'host', got 'gpu'"),
        (("total_timesteps",), 10, "total_timesteps=10 is less than one iteration"),
        (("seeds",), [2**31], "seeds must lie in"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(path, value, words):
    values = json.loads(json.dumps(to_dict(CONFIG)))
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(SettingsError) as error:
        read(RunConfig, values, "my.toml")
    assert words in str(error.value)
    assert str(error.value).startswith("my.toml: ")
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named():
    values = to_dict(CONFIG)
    del values["ppo"]
    with pytest.raises(SettingsError, match="ppo is missing"):
        read(RunConfig, values, "my.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1e6", ("a", 1e6)),
        ("a=3", ("a", 3.0)),
        ("a = true", ("a", True)),
        ("a=null", ("a", None)),
        ("a=[1, 2]", ("a", [1, 2])),
        ("weights=runs/x=1.msgpack", ("weights", "runs/x=1.msgpack")),
        ("a=nan", ("a", "nan")),
        ("a=", ("a", None)),
    ],
)
def test_assignments_are_read_as_yaml_with_exponents(text, expected):
    assert parse_assignment(text) == expected


def test_merging_keeps_what_is_not_overridden():
    assert merge({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 5}}) == {
        "a": {"x": 1, "y": 5},
        "b": 3,
    }


def test_near_names_come_first_and_all_names_where_none_is_near():
    assert near("gama", ["gamma", "lr"]) == "did you mean gamma?"
    assert near("zzz", ["gamma", "lr"]) == "known: gamma, lr"


@pytest.mark.parametrize("suffix", [".toml", ".yaml", ".json"])
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_mapping_or_one_line_that_names_the_file(suffix, data, tmp_path_factory):
    file = tmp_path_factory.mktemp("fuzz") / f"config{suffix}"
    file.write_bytes(data)
    try:
        values = read_file(file)
    except SettingsError as error:
        assert str(file) in str(error)
        assert "\n" not in str(error)
    else:
        assert isinstance(values, dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(section=st.sampled_from(sorted(to_dict(CONFIG))), value=JSON)
def test_any_value_in_any_section_gives_a_config_or_one_line(section, value):
    try:
        config = read(RunConfig, {**to_dict(CONFIG), section: value}, "my.toml")
    except SettingsError as error:
        assert str(error).startswith("my.toml: ")
        assert "\n" not in str(error)
    else:
        assert isinstance(config, RunConfig)
