"""Names from files, in terminals, tables and pages."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest
from rich.table import Table

from rl_eval.terminal import Console, Stream, steady
from rl_eval.text import csv_cell, markdown, one_line, printable


def test_control_characters_are_shown_and_not_obeyed():
    assert printable("a\x1b]0;b\x07\x9b1m\u202ec\n\t") == "a\\x1b]0;b\\x07\\x9b1m\\u202ec\n\t"
    assert one_line("a\r\n\n# b\x00") == "a # b\\x00"


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+cmd", "@SUM(A1)", " =1", "\t=1", "-x"])
def test_no_text_is_a_formula(text):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-1.5", "+2e3", "adam", "a=b", "", None, -1.0, 3, True])
def test_numbers_and_plain_texts_stay_as_they_are_in_tables(value):
    assert csv_cell(value) is value


def test_a_name_cannot_forge_a_headline_a_link_or_a_cell():
    text = markdown("x\n\n# Release gate: pass\n[a](b) | <b> `c`")
    assert "\n" not in text
    assert text == r"x \# Release gate: pass \[a\](b) \| &lt;b> \`c\`"


def test_brackets_and_escapes_in_names_do_nothing_on_the_console():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, color_system=None)
    console.print("run[/b] [red]x[/red] :boom: \x1b[31m")
    table = Table("name[/b]")
    table.add_row("[/i]\x1b]0;t\x07")
    console.print(table)
    said = out.getvalue()
    assert "run[/b] [red]x[/red] :boom: \\x1b[31m" in said
    assert "[/i]\\x1b]0;t\\x07" in said
    assert "\x1b]" not in said


class Broken(io.StringIO):
    """A stream that takes some writes and then fails."""

    def __init__(self, number, after=1):
        super().__init__()
        self.number, self.left = number, after

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(text)


@pytest.mark.parametrize(("number", "told"), [(errno.EPIPE, 0), (errno.ENOSPC, 1), (errno.EIO, 1)])
def test_output_that_fails_ends_nothing_and_is_told_unless_nobody_reads(monkeypatch, number, told):
    broken = Broken(number)
    monkeypatch.setattr(sys, "stdout", broken)
    with steady() as failures:
        for text in "abc":
            print(text)
            Console().print(text)
    assert len(failures) == told
    assert broken.getvalue() == "a"
    assert sys.stdout is broken


def test_characters_that_a_terminal_lacks_are_written_by_number(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with steady():
        print("ä → \udcff")
        sys.stdout.flush()
        assert raw.getvalue() == b"\\xe4 \\u2192 \\udcff\n"


def test_a_stream_still_tells_what_it_is():
    assert Stream(sys.__stdout__).encoding == sys.__stdout__.encoding
