"""`rl-eval meta-train` as its user meets it."""

from __future__ import annotations

import pytest

from optimizers import weights
from rl_eval.cli.main import main

TINY = ["--particles", "1", "--longest", "100", "--tasks", "shapes"]


def rl_eval(*args):
    with pytest.raises(SystemExit) as stopped:
        main(["meta-train", *args])
    return stopped.value.code


def test_a_run_leaves_weights_that_the_optimizer_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = tmp_path / "run"
    assert rl_eval("--optimizer", "celo2-base", "--iterations", "4", "--out", str(run), *TINY) == 0
    theta = weights.load(run / "theta.msgpack", "celo2-base")
    assert set(theta) == {"ff_mod_stack"}
    assert str(run / "theta.msgpack") in capsys.readouterr().out.replace("\n", "")
    assert rl_eval("--out", str(run), *TINY) == 2
    assert "already holds a run" in capsys.readouterr().err.replace("\n", " ")
    assert rl_eval("--resume", str(run)) == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "--resume"),
        (["--resume", "nowhere"], "nowhere"),
        (["--out", "x", "--optimizer", "adamw"], "adamw"),
        (["--out", "x", "--tasks", "imagenet"], "imagenet"),
        (["--out", "x", "--shortest", "9000"], "9000"),
    ],
)
def test_a_mistake_is_named_and_nothing_written(args, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert rl_eval(*args) == 2
    said = capsys.readouterr()
    assert words in said.err + said.out
    assert "Traceback" not in said.err + said.out
    assert not (tmp_path / "x").exists()
