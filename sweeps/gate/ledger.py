"""Every check of the same candidate against the same baseline, since each is another chance."""

from __future__ import annotations

import json
from pathlib import Path

from rl_eval.gate.plan import Plan
from rl_eval.records.run import RecordError, read_lines

FILE = "checks.jsonl"


def note(out: Path, baseline: str, candidate: str, plan: Plan) -> str | None:
    """Write down a check of the benchmark, and tell of those before it with another plan.

    Args:
        out: directory of the report; reports beside it are looked at too.
        baseline: digest of the baseline.
        candidate: fingerprint of the candidate.
    """
    row = {
        "baseline": baseline,
        "candidate": candidate,
        "seeds": plan.looks[-1],
        "margin": plan.margin,
        "floor": plan.floor,
        "alpha": plan.alpha,
    }
    before = _others(out, row)
    out.mkdir(parents=True, exist_ok=True)
    with (out / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    if not before:
        return None
    seeds = ", ".join(str(seeds) for seeds in dict.fromkeys(other["seeds"] for other in before))
    checks = len(before) + 1
    return (
        f"this release was checked against this baseline before, with {len(before)} other plans "
        f"(--seeds {seeds}): that one of {checks} checks passes by chance is up to {checks} times "
        "as likely as alpha says"
    )


def _others(out: Path, row: dict[str, object]) -> list[dict[str, object]]:
    """Other plans on record for the same two releases, each once."""
    found: list[dict[str, object]] = []
    for file in sorted(out.parent.glob(f"*/{FILE}")):
        try:
            rows = read_lines(file)[0]
        except RecordError:
            continue
        for other in rows:
            same = all(other.get(key) == row[key] for key in ("baseline", "candidate"))
            if same and other != row and other not in found:
                found.append(other)
    return found
