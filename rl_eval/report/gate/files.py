"""What a check leaves behind: report.md, report.json, junit.xml and report.png."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rich.console import Console

from rl_eval.gate.result import Result
from rl_eval.records.run import RecordError, write_json
from rl_eval.report.gate import figure
from rl_eval.report.gate.junit import junit
from rl_eval.report.gate.text import markdown, reasons

PICTURE = "report.png"


def render(result: Result, out: Path) -> list[Path]:
    """Write the report; the picture only where scores were compared and matplotlib is there.

    Raises:
        RecordError: a file cannot be written.
    """
    picture: Path | None = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        if result.comparisons:
            try:
                picture = figure.draw(result, out / PICTURE)
            except ImportError:
                note = "no picture: it needs pip install 'rl-eval[sweeps]'"
                result = dataclasses.replace(result, notes=(*result.notes, note))
        write_json(out / "report.json", dataclasses.asdict(result))
        (out / "junit.xml").write_text(junit(result), encoding="utf-8")
        text = markdown(result, picture.name if picture else None)
        (out / "report.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{error.filename}: {error.strerror}") from None
    names = ["report.md", "report.json", "junit.xml", *([PICTURE] if picture else [])]
    return [out / name for name in names]


def show(result: Result, out: Path, console: Console) -> None:
    """The reasons, and where the report is."""
    for line in reasons(result):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(f"{out / 'report.md'}", highlight=False, soft_wrap=True, markup=False)
