"""What needs no baseline: a candidate must agree with itself, end finite and keep nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rl_eval.gate.finding import Finding, Found
from rl_eval.gate.numerics.axes import dtypes, leaks
from rl_eval.gate.numerics.axes.horizon import NUM_STEPS, STRETCH
from rl_eval.gate.numerics.axes.members import MEMBERS, members
from rl_eval.gate.numerics.axes.recorded import HORIZON, Axes, Stage
from rl_eval.gate.numerics.axes.trees import paths
from rl_eval.gate.numerics.golden import CEILING
from rl_eval.gate.numerics.spread import one_line

Said = tuple[Found, str]

TOGETHER = 1e-3, 2e-2  # floor and ceiling of a member's distance from itself alone
ROUNDING = 10.0  # how many times as far as rounding moves it
EFFECT = 0.2  # distance of updates in another dtype from those in float32, over their size
EFFECT_FACTOR = 3.0  # or so many times the baseline's
TURNED = 1.5  # what no rounding explains: updates that are turned round are off by 2
SLOWER = 2.0  # times as slow at the end of a long run as at its beginning
LEAK = 24.0  # bytes a step: a number and its place in a list
LEAK_TRIES = 2


def check_alone(stage: Stage, recorded: Axes | None) -> list[Finding]:
    """A finding each."""
    return [look_alone(name, stage, recorded) for name in CHECKS]


def look_alone(name: str, stage: Stage, recorded: Axes | None) -> Finding:
    """One of `CHECKS`."""
    try:
        verdict, detail = CHECKS[name](stage, recorded)
    except Exception as error:
        verdict, detail = _raised(name, recorded, one_line(error))
    return Finding("numerics", name, verdict, detail)


def _raised(name: str, recorded: Axes | None, why: str) -> Said:
    """What raises is a regression, unless the baseline is known to raise there too."""
    axis = {"effect of dtypes": "dtypes", "long run alone": HORIZON}.get(name, name)
    known = recorded is not None and axis in recorded.raised
    return ("skipped" if known else "regression"), f"raises {why}"


def _members(stage: Stage, recorded: Axes | None) -> Said:
    found = members(stage.bench)
    floor, ceiling = TOGETHER
    allowed = min(max(floor, ROUNDING * found.rounding), ceiling)
    far = {where: x for where, x in found.apart.items() if x > allowed}
    if not far:
        largest = max(found.apart.values(), default=0.0)
        return "pass", f"{MEMBERS} under vmap as each alone, but for {largest:.1g} of an update"
    (member, leaf), distance = next(iter(far.items()))
    return "regression", (
        f"member {member} of {MEMBERS} under vmap is not what it is alone: leaf "
        f"{paths(stage.bench.params)[leaf]} by {distance:.2g} of its largest update, where "
        f"{allowed:.1g} is rounding; {len({m for m, _ in far})} members differ"
    )


def _names(stage: Stage, recorded: Axes | None) -> Said:
    now = stage.names.naming()
    if recorded is not None and "names and order" not in recorded.raised:
        then = recorded.naming
        for way in dict.fromkeys([*then, *now.changed]):
            if then.get(way) != now.changed.get(way):
                return "regression", (
                    f"{way} of the leaves: changes the updates of {_list(now.changed.get(way))}, "
                    f"of {_list(then.get(way))} when it was recorded"
                )
    else:
        for way, leaves in now.changed.items():
            odd = [leaf for leaf in leaves if leaf not in now.routed.get(way, {})]
            if odd:
                return "regression", (
                    f"{way} of the leaves: changes the updates of {_list(tuple(odd))}, and no "
                    "routing says so"
                )
    order = "; order not compared, it draws random numbers" if stage.names.draws else ""
    if not now.changed:
        return "pass", f"names, order and containers change no update{order}"
    way, leaves = next(iter(now.changed.items()))
    rules = now.routed.get(way, {})
    told = [f"{leaf} ({rules[leaf]})" if leaf in rules else leaf for leaf in leaves]
    return "pass", f"{way} of the leaves: changes the updates of {_list(tuple(told))}{order}"


def _effects(stage: Stage, recorded: Axes | None) -> Said:
    if stage.names.draws:
        return "skipped", "not compared: it draws random numbers, which are others in each dtype"
    known = recorded.effects if recorded is not None else {}
    return judge_effects(paths(stage.bench.params), dtypes.effects(stage.bench), known)


def judge_effects(
    leaves: Sequence[str],
    found: Mapping[str, Sequence[float]],
    known: Mapping[str, Sequence[float]],
) -> Said:
    """By mix of dtypes, distances of each leaf's updates from those in float32; see `dtypes`."""
    vague = ""
    for mix, distances in found.items():
        then = known.get(mix) or (0.0,) * len(distances)
        for leaf, distance, before in zip(leaves, distances, then, strict=True):
            allowed = max(EFFECT, EFFECT_FACTOR * before) if known else EFFECT
            told = f"{mix}: updates of leaf {leaf} are off those in float32 by {distance:.2g}"
            if distance > (allowed if known else TURNED):
                return "regression", f"{told} of their size, where {allowed:.1g} is allowed"
            if distance > EFFECT or allowed > CEILING:
                vague = vague or told
    if vague and not known:
        return "inconclusive", f"cannot judge: {vague}, and the baseline's were not recorded"
    if vague:
        return "pass", f"{vague}, as in the baseline; how they are is compared under dtypes"
    return "pass", f"updates in {', '.join(dtypes.MIXES)} are those in float32"


def _long(stage: Stage, recorded: Axes | None) -> Said:
    found = stage.long.run(0)
    known = recorded.trajectories.get(HORIZON) if recorded is not None else None
    if found.first_bad is not None and known is None:
        return "regression", (
            f"not finite between steps {found.first_bad * STRETCH} and "
            f"{(found.first_bad + 1) * STRETCH} of {NUM_STEPS}"
        )
    ratio = found.late / found.early
    detail = f"a step at the end of {NUM_STEPS} takes {ratio:.2g} times one at the beginning"
    return ("pass" if ratio <= SLOWER else "regression"), detail


def _host_memory(stage: Stage, recorded: Axes | None) -> Said:
    kept = float("inf")
    for _ in range(LEAK_TRIES):
        kept = min(kept, leaks.bytes_kept_per_step(stage.subject))
        if kept <= LEAK:
            return "pass", f"{leaks.STEPS} steps keep {kept:.0f} bytes each"
    return "regression", (
        f"{leaks.STEPS} steps keep {kept:.0f} bytes of host memory each, where {LEAK:.0f} are "
        "allowed"
    )


def _list(leaves: tuple[str, ...] | None) -> str:
    if not leaves:
        return "none"
    more = f" and {len(leaves) - 2} more" if len(leaves) > 2 else ""
    return ", ".join(leaves[:2]) + more


CHECKS: dict[str, Callable[[Stage, Axes | None], Said]] = {
    "members": _members,
    "names and order": _names,
    "effect of dtypes": _effects,
    "long run alone": _long,
    "host memory": _host_memory,
}
