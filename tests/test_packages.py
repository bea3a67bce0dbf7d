"""A user may have folders `optimizers` and `sweeps`: ours are found, in children too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rl_eval import packages

CHILD = """
import sys, optimizers, sweeps.execution.work
print(optimizers.get("./optimizers/mine.py:make").name, optimizers.get("other:make").name)
print(optimizers.get("optimizers.mine:make").name, *sys.argv[1:])
"""


@pytest.fixture
def users(tmp_path):
    """A repository with packages of those names; the folder, and the environment to start in."""
    for name in ("optimizers", "sweeps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('the user has {name}')\n")
    (tmp_path / "optimizers" / "__init__.py").write_text("")
    make = "import optax\ndef make(learning_rate=1e-3): return optax.adam(learning_rate)\n"
    (tmp_path / "optimizers" / "mine.py").write_text(make)
    (tmp_path / "other.py").write_text(make)
    return tmp_path, {**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path])}


def run(users, *command):
    folder, env = users
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_child_finds_our_packages_and_the_users_modules(users):
    (users[0] / "child.py").write_text(CHILD)
    ended = run(users, *packages.command("child", "told"))
    assert ended.stdout.splitlines() == [
        "./optimizers/mine.py:make other:make",
        "optimizers.mine:make told",
    ], ended.stderr


def test_the_command_line_works_in_such_a_folder(users):
    command = packages.command("rl_eval.cli.main", "optimizers", "--show", "optimizers.mine:make")
    ended = run(users, *command, "--env", "CartPole-v1")
    assert "optimizers.mine:make" in ended.stdout, ended.stderr


def test_the_front_door_opens_in_such_a_folder(users):
    code = "import rl_eval\nprint(rl_eval.train.__name__, rl_eval.load.__name__)"
    assert run(users, sys.executable, "-c", code).stdout == "train load\n"


def test_a_clash_that_cannot_be_avoided_is_named(users):
    code = "import optimizers, rl_eval.packages as p\np.prefer_ours()"
    ended = run(users, sys.executable, "-c", code)
    assert f"from {users[0] / 'optimizers' / '__init__.py'}: import rl_eval" in ended.stderr


def test_what_was_found_as_ours_stays_and_asking_twice_changes_nothing():
    packages.prefer_ours()
    before = list(sys.meta_path)
    packages.prefer_ours()
    assert sys.meta_path == before
