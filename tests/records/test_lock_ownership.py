"""Whose lock it is: paused owners, other machines, odd file systems and odd files."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from rl_eval.records import lock
from rl_eval.records.lock import NAME, STALE_SECONDS, LockedError, check_held, holder, locked
from rl_eval.records.processes import lives, started, whereabouts

HOLD = (
    "import sys, time, pathlib; from rl_eval.records.lock import locked\n"
    "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def write(folder, age=0.0, **facts):
    (folder / NAME).write_text(json.dumps({"pid": 1, "host": "elsewhere", **facts}))
    os.utime(folder / NAME, (time.time() - age,) * 2)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_can_be_locked(tmp_path, monkeypatch, number):
    def refused(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)
    write(tmp_path, age=STALE_SECONDS + 5)
    with locked(tmp_path) as taken_over:
        assert taken_over == "process 1 on elsewhere"
        with pytest.raises(LockedError), locked(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_flock_can_be_locked(tmp_path, monkeypatch):
    def refused(*args):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refused)
    with locked(tmp_path), pytest.raises(LockedError), locked(tmp_path):
        pass


def test_a_process_of_this_machine_that_was_paused_for_long_keeps_its_lock(tmp_path, other):
    other.send_signal(signal.SIGSTOP)
    os.utime(tmp_path / NAME, (time.time() - 10 * STALE_SECONDS,) * 2)
    with pytest.raises(LockedError, match=f"process {other.pid} on"), locked(tmp_path):
        pass
    assert holder(tmp_path) is not None


def test_a_killed_process_that_its_parent_did_not_look_at_yet_holds_nothing(tmp_path, other):
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
    with locked(tmp_path) as taken_over:
        assert taken_over.startswith(f"process {other.pid} on")


def test_a_process_that_inherited_the_number_of_a_dead_one_holds_nothing(tmp_path):
    pid = os.getpid()
    assert lives(pid, started(pid))
    assert not lives(pid, started(pid) - 1)
    write(tmp_path, pid=pid, started=started(pid) - 1, **whereabouts())
    with locked(tmp_path) as taken_over:
        assert taken_over is not None
    write(tmp_path, age=10 * 365 * 86400, pid=pid, host=whereabouts()["host"])  # an old format
    with locked(tmp_path) as taken_over:
        assert taken_over is not None


def test_another_container_of_the_same_name_is_judged_by_its_heartbeat(tmp_path):
    facts = {**whereabouts(), "processes": "pid:[1]", "pid": 2**22 + 1, "started": 5}
    write(tmp_path, **facts)
    with pytest.raises(LockedError), locked(tmp_path):
        pass
    write(tmp_path, age=STALE_SECONDS + 5, **facts)
    with locked(tmp_path) as taken_over:
        assert taken_over is not None


def test_a_heartbeat_from_the_future_blocks_nobody(tmp_path):
    write(tmp_path, age=-1e6)
    with locked(tmp_path) as taken_over:
        assert taken_over == "process 1 on elsewhere"


def test_nobody_removes_a_lock_that_is_anothers(tmp_path):
    with locked(tmp_path):
        check_held(tmp_path)
        write(tmp_path, token="theirs", started=1)  # while this process was paused
        with pytest.raises(LockedError, match="taken over by process 1 on elsewhere"):
            check_held(tmp_path)
    assert json.loads((tmp_path / NAME).read_text())["token"] == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("kind", ["dangling link", "link", "FIFO", "directory"])
def test_what_is_no_file_is_named_at_once_and_left_alone(tmp_path, kind):
    place = tmp_path / NAME
    if kind == "FIFO":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero" if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(LockedError, match=r"not a lock of rl-eval; remove it"), locked(tmp_path):
        pass
    assert os.path.lexists(place)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"pid": 1e999, "host": 1}', '{"pid": null}', "3"])
def test_a_hostile_lock_is_no_more_than_unreadable(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    assert holder(tmp_path) == "an unreadable lock"


def test_a_full_disk_leaves_no_lock_that_nobody_holds(small_disk):
    with suppress(OSError):
        (small_disk / "filler").write_bytes(bytes(5_000_000))
    with pytest.raises(OSError, match="No space"), locked(small_disk):
        pass
    assert [p.name for p in small_disk.iterdir()] == ["filler"]
