"""A user's module is found in their folder, whatever it is called, and its faults are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import optimizers
from optimizers.importing import ImportFailedError, describe, load, split


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A function that writes files below a folder in which the process then stands."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(optimizers, "__path__", list(optimizers.__path__))
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)

    def write(**files: str) -> Path:
        for name, text in files.items():
            file = tmp_path / (name.replace("__in__", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_a_module_is_taken_apart_at_the_last_colon():
    assert split("a.b:make") == ("a.b", "make")
    assert split("/x:y/mine.py:Walk-v0") == ("/x:y/mine.py", "Walk-v0")
    assert split("adamw") == ("", "adamw")


@pytest.mark.parametrize("name", ["mine", "./mine.py", "mine.py"])
def test_a_neighbour_is_imported_when_a_function_is_called(folder, name):
    here = folder(mine="def make():\n    import later\n    return later.X", later="X = 7")
    found = load(name)
    assert found.module.make() == 7
    assert found.folder == here
    assert sys.path[-1] == str(here)


def test_an_installed_module_has_no_folder(folder):
    folder()
    assert load("json.decoder").folder is None


def test_a_module_is_found_from_elsewhere_by_the_folder_it_was_first_found_in(
    folder, tmp_path, monkeypatch
):
    there = load("mine", [Path("/nowhere"), folder(mine="X = 1")]).folder
    monkeypatch.chdir("/")
    for name in ("./mine.py", "mine"):
        assert load(name, [there]).module.X == 1
        assert load(name).folder == there  # for whoever asks again without knowing the folder
    assert load("mine", [there]).module is load("./mine.py", [there]).module
    with pytest.raises(ImportFailedError, match=f"'gone' in {tmp_path}, nor is one installed"):
        load("gone", [there])


@pytest.mark.parametrize("name", ["optimizers.mine", "./optimizers/mine.py"])
@pytest.mark.parametrize("package", [True, False])
def test_a_users_package_called_as_ours_works_beside_it(folder, name, package):
    here = folder(
        optimizers__in__mine="from optimizers.helper import Y\nfrom optimizers.spec import Choice",
        optimizers__in__helper="Y = 2",
    )
    if package:
        (here / "optimizers" / "__init__.py").write_text("A = 1")
    ours = sys.modules["optimizers"]
    assert load(name).module.Y == 2
    assert sys.modules["optimizers"] is ours
    assert not hasattr(ours, "A")


def test_relative_imports_of_such_a_package_reach_its_own_modules(folder):
    folder(
        optimizers__in____init__="from .spec import Z as ALSO",
        optimizers__in__mine="from .spec import Z",
        optimizers__in__spec="Z = 3",
    )
    assert load("optimizers.mine").module.Z == 3
    assert load("optimizers").module.ALSO == 3
    assert load("optimizers.spec").module.Z == 3


def test_what_cannot_be_told_apart_is_named(folder):
    folder(
        optimizers__in____init__="",
        optimizers__in__mine="from optimizers.spec import Z",
        optimizers__in__spec="Z = 3",
    )
    with pytest.raises(ImportFailedError, match=r"ImportError: .*rename yours, or import.*relativ"):
        load("optimizers.mine")


@pytest.mark.parametrize("name", ["random", "this", "yaml", "xdist"])
def test_a_file_called_as_a_known_module_is_the_one_meant(folder, name):
    before = sys.modules.get(name)
    folder(**{name: "MINE = True"})
    assert load(name).module.MINE
    assert sys.modules.get(name) is before


@pytest.mark.parametrize("base", [".", "elsewhere"])
def test_a_file_in_a_subfolder_sees_both_its_neighbours_and_those_of_the_folder(folder, base):
    here = folder(
        tools__in__mine="import below\nfrom top import X",
        tools__in__below="",
        **{f"{base}/top": "X = 4"},
    )
    assert load("tools/mine.py" if base == "." else "../tools/mine.py", [here / base]).module.X == 4


def test_two_folders_may_have_modules_of_one_name(folder, tmp_path):
    folder(a__in__mine="X = 'a'", b__in__mine="X = 'b'")
    found = [load("mine", [tmp_path / name]).module.X for name in "aba"]
    assert found == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import not_there", r"importing 'mine' failed: ModuleNotFoundError.*'not_there'.*mine.py"),
        ("def f(:", r"importing 'mine' failed: SyntaxError: .*mine.py, line 1"),
        ("x = 1\n1 / 0", r"ZeroDivisionError: division by zero \(.*mine.py:2\)"),
        ("import sys; sys.exit('use --flag')", r"SystemExit: use --flag \(.*mine.py:1\)"),
        ("raise ValueError('one\\ntwo')", r"^importing 'mine' failed: ValueError: one two \(.*\)$"),
        ("import mine.part", r"'mine' is not a package \(.*mine.py:1\)"),
    ],
)
def test_the_cause_of_a_failed_import_is_told(folder, text, message):
    folder(mine=text)
    for name in ("mine", "./mine.py"):
        with pytest.raises(ImportFailedError, match=message):
            load(name)
    folder(mine="X = 1")
    assert load("mine").module.X == 1  # mended, it works in the same process


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is no module: expected a name"),
        (".mine", "is no module: expected a name"),
        ("a..b", "is no module: expected a name"),
        ("./gone.py", r"no file './gone.py' in "),
        ("./v1.2.py", r"has a dot in it; rename it"),
        ("some/folder", r"expected a file that ends in .py"),
        ("json.nothing", "there is no module 'json.nothing' in "),
        ("nothing.inner", "there is no module 'nothing' in "),
    ],
)
def test_what_is_no_module_is_said(folder, name, message):
    folder(**{"v1.2": ""})
    with pytest.raises(ImportFailedError, match=message):
        load(name)


def test_an_error_of_several_lines_is_told_in_one():
    assert describe(RuntimeError("a\n  b")) == "RuntimeError: a b"
