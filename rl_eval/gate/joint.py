"""How often the tiers together are wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rl_eval.gate.finding import Tier


def joint_error(tiers: Sequence[Tier], alpha: float) -> str | None:
    """In one sentence or two; None where no tier goes by scores.

    A pass needs a pass of every tier, so that false passes do not add up. False alarms do.
    """
    drawn = [tier for tier in tiers if tier != "numerics"]
    if not drawn:
        return None
    words = [
        f"Joint error of {' and '.join(tiers)}: an unchanged release is called a regression by "
        f"chance in at most {min(1.0, len(drawn) * alpha):.0%}, {alpha:.0%} for each tier by scores"
    ]
    if len(drawn) < len(tiers):
        words[0] += " (numerics go by what rounding does, not by chance)"
    if "benchmark" in tiers:
        words.append(
            f"one that loses the margin on an environment of the benchmark passes in at most "
            f"{alpha:.0%}, since every tier has to pass"
        )
    return "; ".join(words) + "."
