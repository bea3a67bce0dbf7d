"""The gate's verdict in words: reasons for a terminal, and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rl_eval.gate.finding import TIERS, Finding, verdict
from rl_eval.gate.result import Comparison, Result
from rl_eval.text import markdown as escaped
from rl_eval.text import one_line, printable

MEANING: dict[str, str] = {
    "pass": "it may ship",
    "regression": "it must not ship",
    "inconclusive": "too few seeds to say; record the baseline with more",
}
_ORDER = {"regression": 0, "inconclusive": 1, "skipped": 2, "pass": 3}


def meaning(result: Result) -> str:
    """What the verdict is worth: a release may ship only if every tier was run."""
    ran = [tier for tier in TIERS if any(f.tier == tier for f in result.findings)]
    left = [tier for tier in TIERS if tier not in ran]
    if result.verdict == "inconclusive" and not _lacks_seeds(result):
        return "what the baseline says is too vague to judge by; see the numerics"
    if result.verdict != "pass" or not left:
        return MEANING[result.verdict]
    words = f"nothing found in {' and '.join(ran)}, but {' and '.join(left)} did not run"
    return f"{words}: this does not say that it may ship"


def _lacks_seeds(result: Result) -> bool:
    undecided = [f for f in result.findings if f.stands and f.verdict == "inconclusive"]
    return not undecided or any(f.tier != "numerics" for f in undecided)


def told(finding: Finding) -> str:
    """Why, and why it was let through if it was."""
    if finding.accepted is None:
        return finding.detail
    return f"{finding.detail} (accepted: {finding.accepted})"


def reasons(result: Result) -> list[str]:
    """The verdict and why, worst first in each tier; what passed is a line a tier if all did."""
    lines = [f"{result.candidate.optimizer}: {result.verdict} ({meaning(result)})"]
    for tier, findings in by_tier(result.findings).items():
        lines.append(f"{tier}: {verdict(findings)}")
        worst = sorted(findings, key=lambda finding: _ORDER[finding.verdict])
        lines += [f"  {_word(f):12} {f.check}: {told(f)}" for f in worst]
    return [printable(line) for line in lines + [f"note: {note}" for note in result.notes]]


def by_tier(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings of each tier, tiers in the order they ran."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.tier, []).append(finding)
    return found


def markdown(result: Result, picture: str | None) -> str:
    """The report."""
    then, now = result.baseline, result.candidate
    lines = [
        f"# Release gate: {result.verdict}",
        f"{escaped(now.optimizer)} against the recorded {escaped(then.optimizer)}: "
        f"{meaning(result)}.",
    ]
    for tier, findings in by_tier(result.findings).items():
        rows = [(_word(f), f.check, told(f)) for f in findings]
        lines += [f"## {tier}: {verdict(findings)}", table(("verdict", "check", "why"), rows)]
        lines += [_comparison(c) for c in result.comparisons if c.tier == tier]
    if picture:
        lines.append(f"![score profiles and changes with their bounds]({picture})")
    facts: list[tuple[Any, ...]] = [
        (key, _short(getattr(then, key)), _short(getattr(now, key)))
        for key in ("optimizer", "settings", "code", "weights", "hardware")
    ]
    facts += [
        (name, then.versions.get(name), now.versions.get(name))
        for name in dict.fromkeys([*then.versions, *now.versions])
    ]
    lines += ["## What was compared", table(("", "baseline", "candidate"), facts)]
    lines += [f"- {escaped(note)}" for note in result.notes]
    commands = f"    {one_line(result.recorded_by)}\n    {one_line(result.command)}"
    return "\n\n".join([*lines, "Recorded and checked by", commands]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of Markdown; what would format or end a cell is escaped."""

    def line(cells: Sequence[Any]) -> str:
        return f"| {' | '.join(escaped(str(cell)) for cell in cells)} |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def _comparison(c: Comparison) -> str:
    rows = [
        (
            row.name,
            f"{row.baseline:.3f}",
            f"{row.candidate:.3f}",
            f"{row.change:+.3f}",
            f"{row.lower:+.3f} to {row.upper:+.3f}",
            f"{row.improves:.2f}",
            f"{row.diverged} ({row.baseline_diverged})",
        )
        for row in c.rows
    ]
    head = ("", "baseline", "candidate", "change", "bounds", "P(better)", "diverged (baseline)")
    seeds = ", ".join(map(str, c.seeds))
    return (
        f"{table(head, rows)}\n\n{escaped(c.suite)}: {len(c.seeds)} seeds per environment "
        f"({seeds}), looks at {', '.join(map(str, c.looks))}, margin {c.margin:g}, one-sided alpha "
        f"{c.alpha:g}. Overall is the {c.average}; an environment's score is the mean of its seeds."
    )


def _word(finding: Finding) -> str:
    return finding.verdict if finding.accepted is None else "accepted"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_short(item)}" for key, item in value.items())
    text = str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
