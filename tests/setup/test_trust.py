"""Files of strangers run nothing unless the person at the keyboard says so."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from cli.test_train import CARTPOLE, rl_eval

import sweeps
from rl_eval.settings import SettingsError
from rl_eval.setup.configure import resolve
from rl_eval.setup.evaluating import evaluate, record
from rl_eval.setup.training import train
from rl_eval.setup.trust import Trust

GIFT = "gift_of_a_stranger"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("trust") / "run"
    assert rl_eval(*CARTPOLE, "--no-cost", "--out", str(out)) == 0
    return out


@pytest.fixture
def gift(run, tmp_path, monkeypatch):
    """A run directory that names code, which leaves a mark when it is imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{GIFT}.py").write_text(
        "import pathlib; pathlib.Path('ran').touch()\n"
        "import optax\ndef make(num_steps, learning_rate=1e-3): return optax.sgd(learning_rate)\n"
    )
    shutil.copytree(run, tmp_path / "run")
    yield tmp_path / "run"
    sys.modules.pop(GIFT, None)


def named(folder: Path, section: str, key: str, name: str) -> Path:
    file = folder / "config.json"
    document = json.loads(file.read_text())
    document["config"][section][key] = name
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize(
    ("section", "key", "name"),
    [
        ("optimizer", "name", f"{GIFT}:make"),
        ("optimizer", "name", f"./{GIFT}.py:make"),
        ("env", "id", f"{GIFT}:Env-v0"),
        ("env", "id", f"gymnasium:{GIFT}:Env-v0"),
    ],
)
def test_nothing_that_a_file_names_is_imported_unasked(gift, section, key, name):
    file = named(gift, section, key, name)
    for command in (
        lambda: train(resume=gift, progress=False),
        lambda: evaluate(gift),
        lambda: record(gift, "films"),
        lambda: train(config=file, out="new", progress=False),
        lambda: resolve(env=None, optimizer=None, flags={}, file=file),
    ):
        with pytest.raises(SettingsError, match="--trust-code") as refused:
            command()
        assert name in str(refused.value)
        assert str(file) in str(refused.value)
    assert not Path("ran").exists()
    assert GIFT not in sys.modules


@pytest.mark.parametrize("name", ["http.server:test", "os:abort", f"{GIFT}:make"])
def test_the_refusal_says_from_where_without_importing(gift, name):
    file = named(gift, "optimizer", "name", name)
    assert rl_eval("train", "--config", str(file), "--out", "new") == 2
    with pytest.raises(SettingsError) as refused:
        Trust().check_optimizer(name, None, file)
    assert str(Path(name.split(":")[0].replace(".", "/")).name.split(".")[0]) in str(refused.value)
    assert not Path("ran").exists()


def test_what_is_typed_again_or_trusted_runs(gift):
    name = f"{GIFT}:make"
    file = named(gift, "optimizer", "name", name)
    document = json.loads(file.read_text())
    document["config"]["optimizer"]["hyperparameters"] = {"learning_rate": 0.1}
    file.write_text(json.dumps(document))
    assert resolve(env=None, optimizer=name, flags={}, file=file)[0].optimizer.name == name
    trusted, _ = resolve(env=None, optimizer=None, flags={}, file=file, trust_code=True)
    assert trusted.optimizer.hyperparameters == {"learning_rate": 0.1}
    assert Path("ran").exists()


def test_a_sweep_that_names_code_is_not_gone_on_with_unasked(gift, tmp_path):
    steps = {"total_timesteps": 128, "settings": {"num_envs": 4, "num_steps": 32}}
    space = {"design": "grid", "points": 2, "optimizer": {"learning_rate": {"choice": [0.1]}}}
    plan = sweeps.sweeping.Asked("CartPole-v1", space=space, **steps).plan(None, None, "x")
    folder = tmp_path / "sweep"
    folder.mkdir()
    sweeps.plan.write(folder, plan, sweeps.plan.trials_of(plan))
    file = folder / "plan.json"
    document = json.loads(file.read_text())
    document["bases"][0]["optimizer"]["name"] = f"{GIFT}:make"
    file.write_text(json.dumps(document))
    with pytest.raises(SettingsError, match=r"plan\.json names code.*--trust-code"):
        sweeps.sweep(resume=folder, progress=False)
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", ["adamw", "celo2", "CartPole-v1", "gymnasium:CartPole-v1"])
def test_what_is_built_in_needs_no_question(name):
    Trust().check_env(name, None, Path("config.json"))
    if "gymnasium" not in name:
        Trust().check_optimizer(name, None, Path("config.json"))
