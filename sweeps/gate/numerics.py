"""The first tier, for an optimizer by its name."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from rl_eval.gate.finding import Finding
from rl_eval.gate.numerics import tier
from rl_eval.gate.numerics.spread import Spawn
from rl_eval.gate.numerics.tier import Numerics
from sweeps.gate.contender import Contender


def record_numerics(who: Contender, console: Console) -> Numerics:
    """Its trajectories, and how much rounding moves them."""
    console.print("numerics ...")
    settings = {"name": who.name, "settings": dict(who.release.settings)}
    spawn = Spawn("sweeps.gate.contender:build", settings)
    return tier.record(_build(who), frozenset(who.spec.needs), spawn)


def check_numerics(who: Contender, recorded: Numerics, console: Console) -> list[Finding]:
    """What has changed of it."""
    console.print("numerics ...")
    return tier.check(_build(who), frozenset(who.spec.needs), recorded)


def _build(who: Contender) -> Any:
    return lambda num_steps: who.spec.build(num_steps, **who.release.settings)
