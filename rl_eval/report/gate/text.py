"""The gate's verdict in words: reasons for a terminal, and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rl_eval.gate.finding import TIERS, Finding, verdict
from rl_eval.gate.result import Comparison, Promise, Result, Row
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
    ran = result.ran
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
    lines += [f"{tier}: skipped" for tier in result.skipped]
    lines += [result.joint] if result.joint else []
    lines += [f"note: {note}" for note in result.notes]
    return [printable(line) for line in lines]


def explained(result: Result) -> list[str]:
    """What `reasons` leaves out: every number behind the verdict, and what such a gate can see."""
    lines = reasons(result)
    for c in result.comparisons:
        lines.append(f"{c.tier} on {c.suite}: looks at {c.looks}, decided at {len(c.seeds)} seeds")
        lines.append(f"  {accepted(c)}; one-sided alpha {c.alpha:g}; overall: {c.average}")
        for i, row in enumerate(c.rows):
            lines.append(
                f"  {row.name}: {row.baseline:.3f} -> {row.candidate:.3f}, {row.change:+.3f} "
                f"within {row.lower:+.3f} to {row.upper:+.3f}, margin {_margin(row, c)}, "
                f"P(better) {row.improves:.2f}, failed {row.failed} ({row.baseline_failed}), "
                f"diverged {row.diverged} ({row.baseline_diverged})"
            )
            if i < len(c.candidate):
                pairs = zip(c.seeds, c.baseline[i], c.candidate[i], strict=True)
                worst = sorted(pairs, key=lambda pair: pair[2] - pair[1])[:3]
                told_pairs = ", ".join(f"{s}: {b:.3f} -> {a:.3f}" for s, b, a in worst)
                lines.append(f"    seeds that lost most: {told_pairs}")
        lines += [f"  {promised(c.promise, c)}"] if c.promise else []
    lines += [f"recorded by: {result.recorded_by}", f"checked by: {result.command}"]
    return [printable(line) for line in lines]


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
    if result.skipped:
        lines.append(f"Skipped, which is no pass: {', '.join(result.skipped)}.")
    if result.joint:
        lines.append(result.joint)
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
            _margin(row, c),
            f"{row.improves:.2f}",
            f"{row.failed} ({row.baseline_failed})",
            f"{row.diverged} ({row.baseline_diverged})",
        )
        for row in c.rows
    ]
    head = ["", "baseline", "candidate", "change", "bounds", "margin", "P(better)"]
    head += ["failed (baseline)", "diverged (baseline)"]
    seeds = ", ".join(map(str, c.seeds))
    lines = [
        f"{table(head, rows)}\n",
        f"{c.suite}: {len(c.seeds)} seeds per environment ({seeds}), looks at "
        f"{', '.join(map(str, c.looks))}, {accepted(c)}, one-sided alpha {c.alpha:g}. "
        f"Overall is the {c.average}; an environment's score is the mean of its seeds. A run has "
        "failed if it diverged or kept less than half of what the baseline's middle run had "
        "learned.",
    ]
    return "\n".join(lines + ([f"\n{promised(c.promise, c)}"] if c.promise else []))


def accepted(c: Comparison) -> str:
    """The loss that is accepted, in words."""
    if c.floor is None or c.margin == 0:
        return f"accepted loss {c.floor or c.margin:g} of the reference score"
    return f"accepted loss {c.margin:.0%} of the baseline's own score, at least {c.floor:g}"


def promised(promise: Promise, c: Comparison) -> str:
    """What such a gate does, in words with the numbers of its simulation."""
    return (
        f"In {promise.gates:,} simulated gates at up to {c.looks[-1]} seeds, spread as this "
        "baseline's are, an unchanged candidate whose seeds are not tied to its own passed in "
        f"{promise.passes:.0%}; a loss of two margins was called a regression in "
        f"{promise.catches:.0%} on every environment and in {promise.catches_one:.0%} on the "
        f"noisiest alone; a loss of one margin on one environment passed in {promise.misses:.1%}; "
        f"one failing run in ten passed in {promise.rare:.0%}."
    )


def _margin(row: Row, c: Comparison) -> str:
    if row.margin is None:
        return f"{c.margin:.3f}"
    if row.margin_return is None:
        return f"{row.margin:.3f}"
    return f"{row.margin:.3f} ({row.margin_return:.3g} in return)"


def _word(finding: Finding) -> str:
    return finding.verdict if finding.accepted is None else "accepted"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_short(item)}" for key, item in value.items())
    text = str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
