"""One process per run directory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from rl_eval.records.lock import NAME, STALE_SECONDS, LockedError, holder, locked


def write(folder, pid, host, age=0.0):
    file = folder / NAME
    file.write_text(json.dumps({"pid": pid, "host": host}))
    os.utime(file, (time.time() - age,) * 2)


def dead_pid():
    code = "import os; print(os.getpid())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return int(done.stdout)


def test_a_second_process_is_refused_and_the_first_is_named(tmp_path):
    with locked(tmp_path) as taken_over:
        assert taken_over is None
        code = (
            "import sys, pathlib; from rl_eval.records.lock import locked, LockedError\n"
            "try:\n    with locked(pathlib.Path(sys.argv[1])): print('held')\n"
            "except LockedError as error: print(error)"
        )
        second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
        assert f"in use by process {os.getpid()} on".encode() in second.stdout
        assert holder(tmp_path) is not None
    assert holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_of_this_machine_is_taken_over_at_once(tmp_path):

    pid = dead_pid()
    write(tmp_path, pid, socket.gethostname())
    with locked(tmp_path) as taken_over:
        assert taken_over == f"process {pid} on {socket.gethostname()}"


def test_another_machines_lock_holds_while_its_heart_beats_and_no_longer(tmp_path):
    write(tmp_path, 1, "elsewhere")
    with pytest.raises(LockedError, match="process 1 on elsewhere"), locked(tmp_path):
        pass
    write(tmp_path, 1, "elsewhere", age=STALE_SECONDS + 5)
    with locked(tmp_path) as taken_over:
        assert taken_over == "process 1 on elsewhere"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00\xff"])
def test_an_unreadable_lock_is_respected_until_it_is_stale(tmp_path, text):
    (tmp_path / NAME).write_text(text, encoding="latin-1")
    with pytest.raises(LockedError), locked(tmp_path):
        pass
    os.utime(tmp_path / NAME, (0, 0))
    with locked(tmp_path) as taken_over:
        assert taken_over == "an unreadable lock"


def test_of_many_that_find_a_stale_lock_exactly_one_gets_it(tmp_path):
    write(tmp_path, 1, "elsewhere", age=STALE_SECONDS + 5)
    code = (
        "import sys, time, pathlib; from rl_eval.records.lock import locked, LockedError\n"
        "try:\n    with locked(pathlib.Path(sys.argv[1])): print('held'); time.sleep(3)\n"
        "except LockedError: print('refused')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(6)]
    said = [racer.communicate()[0].strip() for racer in racers]
    assert sorted(said) == [b"held"] + [b"refused"] * 5
