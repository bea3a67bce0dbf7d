"""A user's environment on the command line: found where they stand, and told what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from envs import users

from rl_eval.cli.main import main
from rl_eval.config import config_id
from rl_eval.envs import registry
from rl_eval.reading import read_run
from rl_eval.run import evaluate

SMALL = ["--set", "num_envs=2", "--set", "num_steps=8", "--set", "hidden_sizes=[4]", "--no-cost"]
STEPS = ["--total-timesteps", "32", "--set", "num_minibatches=1", "--set", "update_epochs=1"]


def rl_eval(*args):
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    return stopped.value.code


def train(env, *args):
    return rl_eval("train", "--env", env, *SMALL, *STEPS, *args)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the user stands, with their environments in myenvs.py."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    here = tmp_path / "project"
    here.mkdir()
    shutil.copy(users.__file__, here / "myenvs.py")
    monkeypatch.chdir(here)
    known = set(sys.modules)
    yield here
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def children():
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for file in tasks for pid in file.read_text().split()}


def said(capsys):
    return capsys.readouterr().err.strip()


@pytest.mark.parametrize("env", ["myenvs:Start-v0", "./myenvs.py:Start-v0"])
def test_an_environment_of_the_folder_trains_and_is_found_again_from_elsewhere(
    folder, monkeypatch, tmp_path, capsys, env
):
    out = tmp_path / "run"
    assert train(env, "--out", str(out)) == 0
    assert "is stepped from the host" in capsys.readouterr().out
    config = read_run(out).config
    assert config.env.folder == str(folder)
    monkeypatch.chdir("/")
    status = json.loads((out / "status.json").read_text())
    (out / "status.json").write_text(json.dumps({**status, "status": "running"}))
    monkeypatch.setattr(registry, "_registered", {})  # as in a new process
    assert rl_eval("train", "--resume", str(out), "--no-cost", "--trust-code") == 0
    assert rl_eval("evaluate", str(out), "--episodes", "2", "--trust-code") == 0


def test_a_folder_that_is_gone_is_named(folder, monkeypatch, tmp_path, capsys):
    out = tmp_path / "run"
    (folder / "gone.py").write_text("from myenvs import *")
    assert train("gone:Plain-v0", "--out", str(out)) == 0
    (folder / "gone.py").unlink()
    del sys.modules["gone"]
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.chdir("/")
    capsys.readouterr()
    assert rl_eval("evaluate", str(out), "--trust-code") == 2
    assert f"it was found in {folder} when the run began" in said(capsys)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("broken_env:Foo-v0", "importing 'broken_env' failed: ModuleNotFoundError: No module n"),
        ("syntax_env:Foo-v0", "importing 'syntax_env' failed: SyntaxError: "),
        ("nowhere:Foo-v0", "there is no module 'nowhere' in "),
        ("./nowhere.py:Foo-v0", "there is no file './nowhere.py' in "),
        ("myenvs:Foo-v0", "'Foo-v0' was neither registered by myenvs nor is it a name in it"),
        ("myenvs:DictObs-v0", "FlattenObservation"),
    ],
)
def test_the_cause_is_told_and_nothing_is_written(folder, capsys, env, message):
    (folder / "broken_env.py").write_text("import not_installed_simulator\n")
    (folder / "syntax_env.py").write_text("def f(:\n")
    assert train(env, "--out", "run") == 2
    told = said(capsys)
    assert message in told
    assert len(told.splitlines()) == 1
    assert not Path("run").exists()


def test_arguments_come_from_the_command_line_and_from_files(folder, capsys):
    assert train("myenvs:Grid-v0", "--out", "none") == 2
    assert "its arguments are size, walls" in said(capsys)
    assert train("myenvs:Grid-v0", "--env-kwargs", "size=4", "--out", "flag") == 0
    assert read_run(Path("flag")).config.env.kwargs == {"size": 4}
    Path("mine.yaml").write_text(
        "env: {id: 'myenvs:Grid-v0', kwargs: {size: 4}}\ntotal_timesteps: 32\n"
        "ppo: {num_envs: 2, num_steps: 8, num_minibatches: 1, update_epochs: 1}\n"
        "network: {hidden_sizes: [4]}\n"
    )
    assert (
        rl_eval("train", "--config", "mine.yaml", "--trust-code", "--no-cost", "--out", "file") == 0
    )
    flag, file = (read_run(Path(name)).config for name in ("flag", "file"))
    assert config_id(flag) == config_id(file)
    assert config_id(flag) in train_name("myenvs:Grid-v0", capsys, "--set", "env.kwargs.size=4")


def train_name(env, capsys, *args):
    """The directory that a run without --out gets."""
    assert train(env, *args) == 0
    return str(sorted(Path("runs").iterdir()))


def test_endless_games_cost_their_evaluation_and_not_the_training(folder, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "MAX_GAME_STEPS", 30)
    games = ["--eval-every", "16", "--eval-episodes", "2"]
    assert train("myenvs:Endless-v0", *games, "--out", "run", "--json") == 0
    streams = capsys.readouterr()
    assert streams.err.count("is left out, and training goes on") == 2
    assert "not over after 30 agent steps. Give it a time limit" in streams.err
    assert json.loads(streams.out.splitlines()[-1])["status"] == "completed"
    rows = [json.loads(line) for line in Path("run/eval.jsonl").read_text().splitlines()]
    assert [(row["episodes"], row["return_mean"], row["diverged"]) for row in rows] == [
        (0, None, False)
    ] * 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are counted there")
@pytest.mark.parametrize("env", ["Process", "Failing"])
def test_no_process_of_an_environment_outlives_its_run(folder, capsys, env):
    """Nor an evaluation, nor an error in the middle."""
    with (folder / "myenvs.py").open("a") as file:
        file.write(
            "\n\nclass Failing(Process):\n    def step(self, action):\n"
            "        if self.t > 2: raise RuntimeError('no licence')\n"
            "        return super().step(action)\n\n"
            "gymnasium.registry.pop('Failing-v0', None)\n"
            "gymnasium.register(id='Failing-v0', entry_point=Failing)\n"
        )
    before = children()
    games = ["--eval-every", "16", "--eval-episodes", "2"]
    code = train(f"myenvs:{env}-v0", *games, "--out", "run")
    assert code == (0 if env == "Process" else 1)
    assert children() <= before
    if code:
        assert "'myenvs:Failing-v0' failed in step 4 of a pool of 2" in said(capsys)
        assert "no licence" in json.loads(Path("run/status.json").read_text())["reason"]
