"""What a record says of the code it came from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rl_eval.records.provenance import git_state


def git(folder: Path, *args: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A file in a repository of one commit."""
    file = tmp_path / "code.py"
    file.write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return file


def test_a_checkout_is_its_commit_and_whether_it_was_changed(checkout: Path) -> None:
    head = git(checkout.parent, "rev-parse", "HEAD")
    assert git_state(checkout) == {"commit": head, "dirty": False}
    checkout.write_text("x = 2\n")
    assert git_state(checkout) == {"commit": head, "dirty": True}


def test_code_that_git_does_not_know_has_no_commit(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "other.py").touch()
    assert git_state(tmp_path / "other.py") is None


def test_looking_never_writes_the_index_so_that_no_kill_leaves_it_locked(checkout: Path) -> None:
    index = checkout.parent / ".git" / "index"
    before = index.read_bytes()
    os.utime(checkout, (1e9, 1e9))  # git would note the new time
    assert git_state(checkout)["dirty"] is False
    assert index.read_bytes() == before
