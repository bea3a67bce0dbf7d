"""Reading search spaces strictly."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import sweeps.space.space
from optimizers import registry
from optimizers.spec import Choice, LogUniform, Uniform
from rl_eval.settings import SettingsError
from sweeps import presets
from sweeps.comparison.plan import make_tuning, tuned_space
from sweeps.space.domains import Integers
from sweeps.space.space import make_space, read_space
from sweeps.trials import sweep_record

OPTIMIZERS = ("adamw", "celo2", "velo")


def names(axes):
    return [axis.name for axis in axes]


def domains(space, optimizer):
    return {axis.name: axis.domain for axis in space.axes(optimizer)}


def test_the_example_of_the_documentation_is_read(tmp_path):
    text = sweeps.space.space.__doc__.partition("\n\n")[2]
    file = tmp_path / "space.yaml"
    file.write_text(text)
    space = read_space(file, OPTIMIZERS)
    assert (space.design, space.trials) == ("sobol", 64)
    assert domains(space, "adamw") == {
        "gamma": Choice((0.95, 0.99, 0.999)),
        "ent_coef": LogUniform(1e-4, 1e-1),
        "update_epochs": Integers(1, 8),
        "learning_rate": LogUniform(1e-5, 3e-2),
        "schedule": Choice(("cosine",)),
        "b1": Uniform(0.8, 0.95),
    }


def test_a_hyperparameter_is_an_axis_of_the_optimizers_that_have_it():
    values = {"optimizer": {"learning_rate": "default", "mult_1d": {"uniform": [1, 4]}}}
    space = make_space({**values, "ppo": {"gamma": {"uniform": [0.9, 1]}}}, OPTIMIZERS, "here")
    assert names(space.axes("celo2")) == ["gamma", "learning_rate", "mult_1d"]
    assert names(space.axes("adamw")) == ["gamma", "learning_rate"]
    assert names(space.axes("velo")) == ["gamma"]


def test_what_is_said_of_one_optimizer_comes_before_what_is_said_of_all():
    values = {
        "optimizer": {"learning_rate": "default"},
        "optimizers": {"adamw": {"learning_rate": {"log_uniform": [1e-4, 1e-3]}}},
    }
    space = make_space(values, ("adamw", "sgd"), "here")
    assert domains(space, "adamw")["learning_rate"] == LogUniform(1e-4, 1e-3)
    assert domains(space, "sgd")["learning_rate"] == LogUniform(1e-3, 3.0)


def test_the_order_in_the_file_does_not_matter():
    ppo = {"ent_coef": {"uniform": [0, 1]}, "gamma": {"uniform": [0.9, 1]}}
    turned = dict(reversed(ppo.items()))
    assert make_space({"ppo": ppo}, ("adamw",), "a") == make_space({"ppo": turned}, ("adamw",), "a")


def test_numbers_with_an_exponent_and_no_point_are_numbers():
    values = yaml.safe_load("ppo: {ent_coef: {log_uniform: [1e-4, 1e-1]}}")
    assert domains(make_space(values, ("adamw",), "here"), "adamw") == {
        "ent_coef": LogUniform(1e-4, 1e-1)
    }


def test_values_take_the_type_of_their_hyperparameter():
    values = {
        "ppo": {"gamma": {"choice": [0.9, 1]}, "max_grad_norm": {"choice": [1, None]}},
        "optimizer": {"weight_decay": {"choice": [0, 0.1]}},
    }
    found = domains(make_space(values, ("adamw",), "here"), "adamw")
    assert [type(v) for v in found["gamma"].values] == [float, float]
    assert [type(v) for v in found["max_grad_norm"].values] == [float, type(None)]
    assert [type(v) for v in found["weight_decay"].values] == [float, float]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "nothing varies"),
        ({"design": "halton"}, "design: input should be 'sobol', 'random'"),
        ({"trials": 0}, "trials must be at least 1, got 0"),
        ({"pppo": {}}, "unknown key pppo; did you mean ppo"),
        ({"ppo": {"gama": "default"}}, "unknown key ppo.gama; did you mean gamma"),
        ({"ppo": {"gamma": "default"}}, "ppo.gamma: there is no default domain"),
        ({"ppo": {"gamma": 0.9}}, "ppo.gamma: expected one domain (log_uniform, uniform, int"),
        ({"ppo": {"gamma": {"normal": [0, 1]}}}, "ppo.gamma: unknown domain normal"),
        ({"ppo": {"gamma": {"uniform": [0.9, 1.5]}}}, "gamma must be in [0, 1], got 1.5"),
        ({"ppo": {"gamma": {"uniform": [0.9]}}}, "ppo.gamma: expected [low, high], got [0.9]"),
        ({"ppo": {"gamma": {"uniform": [0.99, 0.9]}}}, "Uniform needs low < high"),
        ({"ppo": {"gamma": {"choice": []}}}, "choice needs a list of different values, got []"),
        ({"ppo": {"gamma": {"choice": [0.9, 0.9]}}}, "choice needs a list of different values"),
        ({"ppo": {"gamma": {"choice": ["high"]}}}, "input should be a valid number, got 'high'"),
        ({"ppo": {"num_envs": {"choice": [0]}}}, "num_envs must be at least 1, got 0"),
        ({"ppo": {"num_envs": {"uniform": [1, 8]}}}, "its values must be listed: int, choice"),
        ({"ppo": {"num_envs": {"int": [1, 2.5]}}}, "int needs whole numbers low < high"),
        ({"optimizer": {"learning_rat": "default"}}, "unknown key optimizer.learning_rat; did you"),
        ({"optimizer": {"eps_root": "default"}}, "optimizer.eps_root: there is no default domain"),
        ({"optimizer": {"learning_rate": {"log_uniform": [0, 1]}}}, "needs 0 < low < high"),
        ({"optimizer": {"schedule": {"fixed": "cosin"}}}, "schedule must be one of constant"),
        ({"optimizers": {"adamv": {}}}, "unknown optimizer 'adamv'"),
        ({"optimizers": {"sgd": {"b1": "default"}}}, "unknown key optimizers.sgd.b1; known"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(values, words):
    with pytest.raises(SettingsError) as error:
        make_space(values, ("adamw",), "my.yaml")
    assert str(error.value).startswith("my.yaml: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


KEYS = st.sampled_from(["gamma", "num_envs", "learning_rate", "uniform", "choice", "int", "adamw"])
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["default", ""])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(
    section=st.sampled_from(["ppo", "optimizer", "optimizers", "design", "points"]), value=VALUES
)
def test_any_value_gives_a_space_or_one_line(section, value):
    try:
        space = make_space({section: value}, ("adamw",), "my.yaml")
    except SettingsError as error:
        assert str(error).startswith("my.yaml: ")
        assert "\n" not in str(error)
    else:
        assert space.axes("adamw")


def test_every_default_domain_of_every_optimizer_can_be_swept():
    for name in registry.names():
        swept = [h.name for h in registry.get(name).hyperparameters if h.domain is not None]
        if swept:
            values = {"optimizers": {name: dict.fromkeys(swept, "default")}}
            assert names(make_space(values, (name,), "here").axes(name)) == swept


def _users_optimizers(folder):
    (folder / "rates.py").write_text(
        "import optax\n"
        "def lr(lr=1e-3, weight_decay=0.0): return optax.adamw(lr, weight_decay=weight_decay)\n"
        "def peak(peak=1e-3): return optax.adam(peak)\n"
    )
    return ("adamw", "rates:lr", "rates:peak", "optax:adafactor")


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
def test_the_learning_rate_is_an_axis_of_every_optimizer_whatever_it_is_called(
    tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    values = {"optimizer": {name: "default"}, "learning_rate_name": "peak"}
    space = make_space(values, _users_optimizers(tmp_path), "test")
    axes = {optimizer: [axis.key for axis in space.axes(optimizer)] for optimizer in space.own}
    assert axes == {
        "adamw": ["optimizer.learning_rate"],
        "rates:lr": ["optimizer.lr"],
        "rates:peak": ["optimizer.peak"],
        "optax:adafactor": ["optimizer.learning_rate"],
    }
    record = sweep_record(space, [], seeds=(0,), design="sobol", design_seed=0)
    keys = {optimizer: record.learning_rate_key(optimizer) for optimizer in axes}
    assert keys == {optimizer: key for optimizer, (key,) in axes.items()}
    tuned = tuned_space(make_tuning(name, tuple(axes), (0,), 1, "peak"))
    assert tuned.own.keys() == axes.keys()


def test_every_preset_fits_a_users_optimizer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _users_optimizers(tmp_path)
    for preset in ("sensitivity", "learning-rate"):
        axes = read_space(presets.path(preset), ["rates:lr"]).axes("rates:lr")
        assert "optimizer.lr" in [axis.key for axis in axes]


def test_a_learning_rate_that_nobody_has_says_how_to_name_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _users_optimizers(tmp_path)
    values = {"optimizer": {"learning_rate": "default"}}
    with pytest.raises(SettingsError, match="rates:peak has no learning rate; learning_rate_name"):
        make_space(values, ["rates:peak"], "test")
    with pytest.raises(SettingsError, match="no optimizer has the learning rate peek; did you me"):
        make_space({**values, "learning_rate_name": "peek"}, ["rates:peak"], "test")
