"""Ctrl-C and SIGTERM: heard between chunks, and in the end whatever the process is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from rl_eval.run.stop import graceful

SCRIPT = """
import sys, time
from rl_eval.run import stop
stop.GRACE_SECONDS, stop.ECHO_SECONDS = {grace}, {echo}
try:
    with stop.graceful(lambda: print("record closed", flush=True)) as request:
        print("ready", flush=True)
        while True:
            time.sleep({chunk})
            request.check()
except KeyboardInterrupt:
    print("saved", flush=True)
    sys.exit(130)
except stop.Terminated as error:
    print("saved", flush=True)
    sys.exit(128 + error.signal)
"""


def start(grace=60.0, echo=0.0, chunk=0.01):
    code = SCRIPT.format(grace=grace, echo=echo, chunk=chunk)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)],
)
def test_a_signal_is_heard_between_two_chunks(number, code):
    process = start()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "saved\n")


def test_a_chunk_that_never_ends_is_left_after_the_grace():
    process = start(grace=0.3, chunk=600)
    process.send_signal(signal.SIGTERM)
    said, complaint = process.communicate(timeout=60)
    assert (process.returncode, said) == (143, "record closed\n")
    assert "last checkpoint" in complaint


def test_a_second_signal_ends_at_once():
    process = start(chunk=600)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "record closed\n")


def test_the_same_signal_passed_on_by_a_wrapper_is_not_a_second_one():
    process = start(echo=30.0, chunk=1.0)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "saved\n")


def test_a_signal_is_heard_while_an_event_loop_has_the_wakeup_descriptor():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with graceful(lambda: None) as request:
        before = signal.set_wakeup_fd(writer)  # as uvloop does, in which orbax saves
        signal.raise_signal(signal.SIGINT)
        signal.set_wakeup_fd(before)
        deadline = time.monotonic() + 2
        while request.signal is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(KeyboardInterrupt):
            request.check()
    os.close(reader)
    os.close(writer)


def test_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with graceful(lambda: None) as request:
        request.check()
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_hangup_that_nohup_has_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start()
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (138, "saved\n")


def test_a_command_in_a_thread_takes_no_signals_and_runs():
    code = (
        "import threading\n"
        "from rl_eval.cli.main import main\n"
        "def run():\n"
        "    try: main(['envs', '--help'])\n"
        "    except SystemExit as end: print('ended', end.code)\n"
        "thread = threading.Thread(target=run); thread.start(); thread.join()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ended 0" in done.stdout, done.stderr
