"""Records of which a power cut left a part."""

from __future__ import annotations

import json

import pytest

from rl_eval.errors import MachineError, machine_fault
from rl_eval.records.run import (
    METRICS,
    RecordError,
    RunDirectory,
    kept_lines,
    read_lines,
    read_object,
)

LINES = [json.dumps({"iteration": i, "x": i / 2}) for i in (1, 2, 3, 4)]


@pytest.fixture
def run(tmp_path):
    (tmp_path / METRICS).write_text("".join(f"{line}\n" for line in LINES))
    return RunDirectory(tmp_path)


@pytest.mark.parametrize(
    "hole", ["\0" * 40, LINES[1][:9], "", "[1]", '{"iteration": "x"}', "ä" * 9]
)
def test_a_hole_in_the_history_costs_its_line_and_is_said(run, hole):
    file = run.path / METRICS
    file.write_bytes("\n".join([LINES[0], hole, *LINES[2:], ""]).encode("latin-1"))
    lost = run.rewind(3)
    assert [row["iteration"] for row in read_lines(file)[0]] == [1, 3]
    assert hole == '{"iteration": "x"}' or lost == [f"{file}: line 2 is damaged and left out"]


def test_a_torn_last_line_is_told_from_a_hole(run):
    file = run.path / METRICS
    file.write_text(file.read_text()[:-5])
    assert kept_lines(file)[1] == [4]
    assert read_lines(file)[1]
    file.write_text(f"{LINES[0]}\n\0\0\n{LINES[2]}\n")
    with pytest.raises(RecordError, match="line 2 is damaged"):
        read_lines(file)


def test_a_missing_history_is_said(run):
    (run.path / METRICS).unlink()
    assert "is missing" in run.rewind(3)[0]
    assert run.rewind(0) == []


def test_a_note_after_a_torn_one_is_on_a_line_of_its_own(run):
    run.resumed({"iteration": 1})
    file = run.path / "resumes.jsonl"
    file.write_text(file.read_text()[:-4])
    run.resumed({"iteration": 2})
    assert kept_lines(file) == ([{"iteration": 2}], [1])


def test_what_a_killed_writer_leaves_half_done_takes_no_directory(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    for name in (".config.json.123", ".config.json.ab_c9x.part", "lock.json", ".lock.json.77"):
        (run.path / name).touch()
    assert not run.taken()
    run.create({}, {})
    assert run.taken()


def test_a_record_with_a_key_twice_is_refused(tmp_path):
    (tmp_path / "status.json").write_text('{"status": "completed", "status": "failed"}')
    with pytest.raises(RecordError, match="'status' comes twice"):
        read_object(tmp_path / "status.json")


def test_faults_of_the_machine_are_told_from_those_of_a_run():
    full = OSError(28, "No space left on device", "out/status.json")
    assert machine_fault(full) == "out/status.json: No space left on device"
    wrapped = RuntimeError("saving failed")
    wrapped.__cause__ = full
    assert machine_fault(wrapped) == machine_fault(full)
    assert machine_fault(MachineError("in use")) == "in use"
    assert machine_fault(FileNotFoundError(2, "no such file", "weights")) is None
    assert machine_fault(ValueError("nan")) is None
    assert machine_fault(MemoryError()) is None
