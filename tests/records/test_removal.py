"""--overwrite takes a run away, and nothing that is somebody's."""

from __future__ import annotations

import json

import pytest

from rl_eval.records.lock import LockedError, locked
from rl_eval.records.removal import remove_run
from rl_eval.records.run import METRICS, RecordError, RunDirectory


@pytest.fixture
def run(tmp_path):
    made = RunDirectory(tmp_path / "run")
    made.create({}, {})
    (made.path / METRICS).touch()
    (made.checkpoints / "000000004").mkdir(parents=True)
    (made.checkpoints / ".part-000000005-x").mkdir()
    return made.path


def test_a_run_goes_with_all_that_it_wrote(run):
    (run / ".status.json.abc.part").touch()
    remove_run(run)
    assert not run.exists()
    remove_run(run)


@pytest.mark.parametrize(
    "name", ["thesis.tex", ".git/config", "checkpoints/best-ever", "config.yaml", "status.json/x"]
)
def test_one_file_of_somebody_elses_keeps_the_whole_directory(run, name):
    if name.startswith("status"):
        (run / "status.json").unlink()
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("ten years")
    with pytest.raises(RecordError, match="was not written by a run"):
        remove_run(run)
    assert (run / name).read_text() == "ten years"
    assert (run / METRICS).exists()


@pytest.mark.parametrize(
    "document", [{}, {"name": "web app"}, {"schema": 1}, {"schema": "1", "config": {}}, "[]", "{"]
)
def test_a_folder_with_just_any_config_is_no_run(tmp_path, document):
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RecordError, match=r"config\.json"):
        remove_run(tmp_path)
    assert (tmp_path / "config.json").exists()


def test_links_and_directories_at_work_are_left(run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(RecordError, match="not a run directory"):
        remove_run(tmp_path / "link")
    with locked(run), pytest.raises(LockedError):
        remove_run(run)
    assert run.exists()


def test_what_a_kill_left_before_a_run_began_is_no_obstacle(tmp_path):
    (tmp_path / ".config.json.123").touch()
    remove_run(tmp_path)
    assert not tmp_path.exists()
