"""What a tier of the gate has found: one line each, and how they make one verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

Tier = Literal["numerics", "probes", "benchmark"]
Verdict = Literal["pass", "regression", "inconclusive"]
TIERS: tuple[Tier, ...] = ("numerics", "probes", "benchmark")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what, such as "trajectory rosenbrock", "state bytes" or "CartPole-v1".
        detail: why, in one line for a reader.
    """

    tier: Tier
    check: str
    verdict: Verdict
    detail: str


def verdict(findings: Iterable[Finding]) -> Verdict:
    """A regression anywhere is a regression; a pass needs a pass everywhere."""
    found = {finding.verdict for finding in findings}
    if "regression" in found:
        return "regression"
    return "inconclusive" if "inconclusive" in found else "pass"
