"""The first tier, for an optimizer by its name."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from rich.console import Console

from optimizers.spec import Choice, Hyperparameter, OptimizerSpec, Value
from rl_eval.gate.finding import Finding
from rl_eval.gate.numerics import tier
from rl_eval.gate.numerics.spread import Spawn
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.tier import Numerics
from sweeps.gate.contender import Contender


def record_numerics(who: Contender, console: Console) -> Numerics:
    """Its trajectories, and how much rounding moves them."""
    console.print("numerics ...")
    settings = {"name": who.name, "settings": dict(who.release.settings)}
    return tier.record(_subject(who), Spawn("sweeps.gate.contender:build", settings))


def check_numerics(who: Contender, recorded: Numerics, console: Console) -> list[Finding]:
    """What has changed of it."""
    console.print("numerics ...")
    return tier.check(_subject(who), recorded)


def _subject(who: Contender) -> Subject:
    return subject(who.spec, who.release.settings)


def subject(spec: OptimizerSpec, settings: Mapping[str, Value]) -> Subject:
    """An optimizer with those settings, and what can be varied of it."""
    own = dict(settings)
    values = spec.resolve(own)
    numbers = {name: x for name, x in values.items() if isinstance(x, float)}
    traced = {
        h.name: numbers[h.name] for h in spec.hyperparameters if h.traced and h.name in numbers
    }
    found = {h.name: other_values(h, values[h.name]) for h in spec.hyperparameters}
    return Subject(
        build=lambda num_steps, **changed: spec.build(num_steps, **{**own, **changed}),
        needs=frozenset(spec.needs),
        traced=traced,
        ends={name: x for name, x in found.items() if name in traced},
        choices={name: x for name, x in found.items() if name not in traced and x},
        routing=functools.partial(spec.routing, **values) if spec.routing else None,
    )


def other_values(h: Hyperparameter, value: Value) -> tuple[Value, ...]:
    """Both ends of a domain, all other choices of a static one; without a domain, half and more.

    Text and whole numbers without a choice are left as they are.
    """
    if isinstance(h.domain, Choice):
        others = tuple(x for x in h.domain.values if x != value)
        if h.traced:
            return tuple(float(x) for x in others)
        return tuple(x for x in others if x is None or isinstance(x, (bool, int, float, str)))
    if h.domain is not None:
        return float(h.domain.low), float(h.domain.high)
    if isinstance(value, bool):
        return (not value,)
    if not isinstance(value, float):
        return ()
    if value == 0:
        return (0.1,)
    return (value / 2, (1 + value) / 2) if 0 < value < 1 else (value / 2, 2 * value)
