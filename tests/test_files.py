"""Reading within bounds, and writing whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rl_eval import files


@pytest.mark.parametrize("name", ["/dev/zero", "fifo", "link", "folder", "large", "missing"])
def test_what_is_no_small_file_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "large").open("wb") as large:
        large.truncate(10**12)  # as large as it says, and no byte on the disk
    with pytest.raises(OSError, match=r"file|larger|directory"):
        files.read_bytes(tmp_path / name, 1000)


def test_a_byte_order_mark_is_dropped_and_other_encodings_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf{}")
    assert files.read_text(tmp_path / "a", 10) == "{}"
    (tmp_path / "a").write_bytes("ä".encode("latin-1"))
    with pytest.raises(UnicodeDecodeError):
        files.read_text(tmp_path / "a", 10)


def test_json_with_a_key_twice_or_too_deep_is_refused():
    with pytest.raises(ValueError, match="'a' comes twice"):
        files.parse_json('{"b": {"a": 1, "a": 2}}')
    with pytest.raises(ValueError, match="too deep"):
        files.parse_json("[" * 100_000)


def test_a_file_is_replaced_whole_with_the_usual_rights(tmp_path):
    old = os.umask(0o027)
    try:
        files.write_whole(tmp_path / "a.json", "one")
        files.write_whole(tmp_path / "a.json", "two")
    finally:
        os.umask(old)
    assert (tmp_path / "a.json").read_text() == "two"
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_links_that_wait_for_a_temporary_name_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (f".a.json.{os.getpid()}", ".a.json.part", f".a.json.{threading.get_ident()}"):
        (tmp_path / name).symlink_to(victim)
    files.write_whole(tmp_path / "a.json", "mine")
    assert victim.read_text() == "precious"


def test_a_full_disk_leaves_what_was_there_and_nothing_else(small_disk):
    files.write_whole(small_disk / "a", "old")
    with pytest.raises(OSError, match="No space"):
        files.write_whole(small_disk / "a", bytes(10**7))
    assert (small_disk / "a").read_text() == "old"
    assert [p.name for p in small_disk.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("name", "half"),
    [
        (".config.json.123", True),
        (".config.json.x8s_f.part", True),
        ("config.json", False),
        (".git", False),
        ("notes.part", False),
    ],
)
def test_half_a_file_is_told_by_its_name(name, half):
    assert files.is_part(name) is half
    assert Path(name).name == name
