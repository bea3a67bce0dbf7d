"""A run is used again only if nothing that it imported or read has changed, whatever it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl_eval.gate.dependencies.kept import keep, stale
from rl_eval.gate.dependencies.snapshot import Dependencies, changes, differences

CHILD = """
import json, sys, dataclasses
from rl_eval.gate.dependencies.watch import watch
from rl_eval.gate.dependencies.snapshot import snapshot
seen = watch()
seen.settle()
import mine
mine.make()
print(json.dumps(dataclasses.asdict(snapshot(seen))))
"""


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """A function: what a process read that imports `mine` and calls `make`, and changes of it."""
    monkeypatch.chdir(tmp_path)

    def run(**variables):
        paths = [str(tmp_path), str(tmp_path / "elsewhere"), *filter(None, sys.path)]
        env = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-P", "-c", CHILD]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        return Dependencies(**{**facts, "doubts": tuple(facts["doubts"])})

    return run


def write(folder, name, text):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


CASES = {
    "a module beside it": ("import core\ndef make(): core.f()", "core.py", "module core"),
    "a module imported late": (
        "def make():\n    from elsewhere.deep import late\n    late.f()",
        "elsewhere/deep/late.py",  # no __init__.py: a namespace package
        "module elsewhere.deep.late",
    ),
    "a module that hides itself": (
        "def make():\n    import core, sys\n    core.f()\n    del sys.modules['core']",
        "core.py",
        "file core.py",
    ),
    "a file that it reads": (
        "import json, pathlib\n"
        "def make(): pathlib.Path(__file__).with_name('theta.json').read_text()",
        "theta.json",
        "file theta.json",
    ),
    "a file read by its descriptor": (
        "import os\ndef make(): os.read(os.open('data/theta.bin', os.O_RDONLY), 9)",
        "data/theta.bin",
        "file data/theta.bin",
    ),
    "an array that numpy loads": (
        "import numpy as np\ndef make(): np.fromfile('w.bin', np.uint8)",
        "w.bin",
        "file w.bin",
    ),
    "data of a package": (
        "import importlib.resources as r\ndef make(): (r.files('kit') / 'w.txt').read_text()",
        "kit/w.txt",
        "file kit/w.txt",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_of_what_was_read_is_seen(case, seen, tmp_path):
    source, name, label = CASES[case]
    write(tmp_path, "mine.py", source)
    write(tmp_path, "kit/__init__.py", "")
    file = write(tmp_path, name, "def f(): pass\n")
    then = seen()
    assert label in then.parts
    assert changes(then) == []
    file.write_text("def f(): pass  # another\n")
    assert changes(then) == [label]
    assert label in differences(then.parts, seen().parts)
    file.unlink()
    assert changes(then) == [label]


def test_a_link_that_is_turned_is_seen(seen, tmp_path):
    write(tmp_path, "mine.py", "def make(): open('newest').read()")
    old, new = write(tmp_path, "old", "1"), write(tmp_path, "new", "2")
    link = tmp_path / "newest"
    link.symlink_to(old)
    then = seen()
    link.unlink()
    link.symlink_to(new)
    assert changes(then) == ["file newest"]


def test_a_new_file_in_a_folder_that_was_listed_is_seen(seen, tmp_path):
    write(tmp_path, "mine.py", "import os\ndef make(): sorted(os.listdir('weights'))[-1]")
    write(tmp_path, "weights/1", "")
    then = seen()
    assert changes(then) == []
    write(tmp_path, "weights/2", "")
    assert changes(then) == ["folder weights"]


def test_a_variable_that_was_asked_for_is_seen(seen, tmp_path, monkeypatch):
    write(tmp_path, "mine.py", "import os\ndef make(): os.environ.get('MY_SCALE', '1')")
    then = seen()
    assert "variable MY_SCALE" in then.parts
    assert changes(then) == []
    monkeypatch.setenv("MY_SCALE", "0")
    assert changes(then) == ["variable MY_SCALE"]


def test_another_version_of_a_package_is_seen(seen, tmp_path):
    write(tmp_path, "mine.py", "import numpy\ndef make(): pass")
    then = seen()
    assert "numpy" in then.versions
    older = dataclasses.replace(then, versions={**then.versions, "numpy": "0.9"})
    assert changes(older) == ["package numpy"]


@pytest.mark.parametrize(
    ("source", "doubt"),
    [
        ("import subprocess\ndef make(): subprocess.run(['true'])", "mine starts a program"),
        ("import os\ndef make(): os.system('true')", "mine starts a program"),
        (
            "import socket\ndef make():\n"
            "    try: socket.create_connection(('127.0.0.1', 9), 0.1)\n"
            "    except OSError: pass",
            "mine uses the network",
        ),
    ],
)
def test_what_cannot_be_known_is_a_doubt_and_never_used_again(source, doubt, seen, tmp_path):
    write(tmp_path, "mine.py", source)
    then = seen()
    assert doubt in then.doubts
    assert doubt in changes(then)


def test_a_file_that_it_wrote_itself_is_no_input(seen, tmp_path):
    write(
        tmp_path, "mine.py", "def make():\n    open('log', 'w').write('x')\n    open('log').read()"
    )
    assert not [label for label in seen().parts if "log" in label]


def test_nothing_in_the_names_tells_where_on_this_machine_it_was(seen, tmp_path):
    write(tmp_path, "mine.py", "def make(): open('theta').read()")
    write(tmp_path, "theta", "")
    found = seen()
    assert "module mine" in found.parts
    assert not [label for label in found.parts if str(tmp_path) in label]


def test_a_run_without_a_list_is_stale_and_one_with_it_is_until_something_changes(tmp_path):
    run = tmp_path / "trials" / "x" / "seed-0"
    run.mkdir(parents=True)
    assert stale(run, tmp_path) == ["what it depended on is not on record"]
    file = write(tmp_path, "core.py", "SCALE = 1")
    other = write(tmp_path, "other.py", "SCALE = 1")
    found = Dependencies({}, {"module core": str(file), "module other": str(other)}, {}, ())
    keep(dataclasses.replace(found, parts=_sums(found)), run, tmp_path)
    assert stale(run, tmp_path) == []
    file.write_text("SCALE = 0")
    assert stale(run, tmp_path) == ["module core"]


def _sums(found):
    return {
        label: hashlib.sha256(Path(place).read_bytes()).hexdigest()
        for label, place in found.places.items()
    }
