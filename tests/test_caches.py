"""Where there is no home, or none that can be written, caches are below the temporary folder."""

from __future__ import annotations

import os
import stat

import pytest

from rl_eval import caches


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    for name in ("XDG_CACHE_HOME", "HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(caches.tempfile, "tempdir", str(tmp_path / "tmp"))
    caches._cache.cache_clear()
    yield
    caches._cache.cache_clear()


def nobody(*args):
    raise RuntimeError("Could not determine home directory.")


def test_the_users_cache_is_taken_where_there_is_one(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert caches.cache() == (tmp_path / "home" / ".cache" / "rl_eval", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert caches.cache() == (tmp_path / "xdg" / "rl_eval", None)


def test_without_a_home_it_is_a_private_folder_that_is_found_again(monkeypatch, tmp_path):
    monkeypatch.setattr(caches.Path, "home", nobody)
    folder, instead = caches.cache()
    assert instead == "there is no home folder"
    assert folder.parent == tmp_path / "tmp"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    caches._cache.cache_clear()
    assert caches.cache().folder == folder


@pytest.mark.parametrize("blocked", ["file", "read-only"])
def test_a_home_that_cannot_be_written_is_named(monkeypatch, tmp_path, blocked):
    home = tmp_path / "home"
    if blocked == "file":
        home.touch()
    else:
        home.mkdir()
        monkeypatch.setattr(caches.os, "access", lambda path, mode: False)
    monkeypatch.setenv("HOME", str(home))
    folder, instead = caches.cache()
    assert folder.is_relative_to(tmp_path / "tmp")
    assert instead == f"{home / '.cache' / 'rl_eval'} cannot be written"


def test_a_folder_that_somebody_else_laid_out_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(caches.Path, "home", nobody)
    known = tmp_path / "tmp" / f"rl_eval-{os.getuid()}"
    known.symlink_to(tmp_path)
    assert caches.cache().folder not in (known, tmp_path)
    known.unlink()
    known.mkdir(mode=0o777)
    known.chmod(0o777)
    caches._cache.cache_clear()
    assert caches.cache().folder != known


def test_compiled_programs_of_other_processors_are_kept_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mine = caches.compiled()
    assert mine.parent == tmp_path / "rl_eval" / "compiled"
    monkeypatch.setattr(caches, "_processor", lambda: "another")
    assert caches.compiled() != mine
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/given")
    assert str(caches.compiled()) == "/given"
