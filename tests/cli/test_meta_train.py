"""`rl-eval meta-train` as its user meets it."""

from __future__ import annotations

import functools

import jax
import pytest

from optimizers import metatrain, weights
from optimizers.metatrain.judging import metric
from optimizers.metatrain.tasks import data, tasks
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
        (["--evaluate", "celo2-base", "--optimizer", "adamw"], "adamw"),
        (["--evaluate", "celo2-base", "--out", "x"], "one of --out"),
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


def test_weights_are_judged_in_two_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    held_out = [tasks.image_task("held-out", data.load("digits", "test"), hidden=(4,))]
    short = {"num_steps": 3, "num_seeds": 2}
    for module, name, settings in (
        (metatrain, "evaluate", {"tasks": held_out}),
        (metric, "scorer", {}),
        (metric, "adam", {}),
    ):
        shorter = functools.partial(getattr(module, name), **short, **settings)
        monkeypatch.setattr(module, name, shorter)
    theta = tmp_path / "theta.msgpack"
    weights.save(theta, weights.initial("mlp-lopt", jax.random.key(0)))
    judged = ("--evaluate", str(theta), "--optimizer", "mlp-lopt", "--tasks", "shapes")
    assert rl_eval(*judged) == 0
    said = capsys.readouterr()
    names = [line.split("|")[1:3] for line in said.out.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in names[:3]] == ["optimizer", "mlp-lopt", "adam"]
    assert [row[1].strip() for row in names[4:]] == [
        *("mlp-lopt", "mlp-lopt untrained", "adamw b2=0.95", "adamw b2=0.999")
    ]
    assert said.err.count("held-out: ") == 4


@pytest.mark.parametrize(("content", "words"), [(None, "no weights"), (b"junk", "msgpack")])
def test_a_file_that_holds_no_weights_is_one_line(content, words, tmp_path, capsys):
    path = tmp_path / "theta.msgpack"
    if content is not None:
        path.write_bytes(content)
    assert rl_eval("--evaluate", str(path)) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
