"""What a tier of the gate has found: one line each, and how they make one verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

Tier = Literal["numerics", "probes", "benchmark"]
Verdict = Literal["pass", "regression", "inconclusive"]
Found = Literal["pass", "regression", "inconclusive", "skipped"]
TIERS: tuple[Tier, ...] = ("numerics", "probes", "benchmark")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what, such as "trajectory rosenbrock", "state bytes" or "CartPole-v1".
        verdict: "skipped" where nothing was compared, which is no pass and no failure.
        detail: why, in one line for a reader.
        accepted: why a regression was meant, in the words of whoever lets it through.
    """

    tier: Tier
    check: str
    verdict: Found
    detail: str
    accepted: str | None = None

    @property
    def stands(self) -> bool:
        """Whether it keeps the release from passing."""
        return self.verdict in ("regression", "inconclusive") and self.accepted is None


def verdict(findings: Iterable[Finding]) -> Verdict:
    """A regression anywhere is a regression; a pass needs something that passed.

    What was accepted counts as passed; what was skipped does not count.
    """
    findings = list(findings)
    found = {finding.verdict for finding in findings if finding.stands}
    if "regression" in found:
        return "regression"
    done = any(finding.verdict != "skipped" for finding in findings)
    return "pass" if done and not found else "inconclusive"
