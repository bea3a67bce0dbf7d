"""`envs`, `optimizers` and `doctor` tell the truth about what is there."""

from __future__ import annotations

import pytest

from optimizers import registry
from rl_eval.cli.main import main
from rl_eval.envs.registry import env_ids


def rl_eval(*args):
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    return stopped.value.code


def test_envs_lists_every_environment_a_line_each(capsys):
    assert rl_eval("envs") == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines]
    assert listed == [env_id for ids in env_ids().values() for env_id in ids]
    assert "Breakout-MinAtar                 minatar  gymnax" in lines


def test_envs_of_one_backend_and_a_wrong_one(capsys):
    assert rl_eval("envs", "--backend", "probe") == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert rl_eval("envs", "--backend", "atari") == 2
    assert "envpool" in capsys.readouterr().err


def test_optimizers_names_every_registered_one_with_its_hyperparameters(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert rl_eval("optimizers") == 0
    said = capsys.readouterr().out
    for name in registry.names():
        assert f" {name} " in said
    assert "learning_rate = 0.00025  log [" in said


def test_routing_is_shown_leaf_by_leaf(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert rl_eval("optimizers", "--show", "muon", "--env", "CartPole-v1") == 0
    rows = capsys.readouterr().out.splitlines()
    kernel = next(
        row for row in rows if "actor_torso" in row and "Dense_1" in row and "64x64" in row
    )
    bias = next(row for row in rows if "actor_torso" in row and "bias" in row)
    assert "muon" in kernel
    assert "adam" in bias


@pytest.mark.parametrize(
    ("args", "word"),
    [(["--show", "adamw"], "--env"), (["--show", "adamm", "--env", "CartPole-v1"], "adamw")],
)
def test_a_routing_that_cannot_be_shown_says_what_is_missing(args, word, capsys):
    assert rl_eval("optimizers", *args) == 2
    assert word in capsys.readouterr().err


def test_doctor_reports_versions_devices_and_the_xla_path(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert rl_eval("doctor") == 0
    said = capsys.readouterr().out
    for word in ("jaxlib", "envpool", "cpu", "envpool XLA", "cache"):
        assert word in said
