"""What a reader of a check must know beside its findings."""

from __future__ import annotations

from collections.abc import Mapping

from rl_eval.gate.baseline import Release
from rl_eval.gate.dependencies.snapshot import differences

SUITE = ("module rl_eval", "module sweeps")  # what trains and judges, not what is judged
MOST = 8  # names told


def notes(then: Release, now: Release, lacking: set[str], doubts: tuple[str, ...]) -> list[str]:
    """Versions, hardware, settings and code: what is not as it was for the baseline."""
    found = [
        f"{name}: {version} in the baseline, {now.versions.get(name)} here"
        for name, version in then.versions.items()
        if version != now.versions.get(name)
    ]
    if then.hardware != now.hardware:
        found.append("other hardware than the baseline's: a step's time is compared with AdamW's")
    if lacking:
        names = ", ".join(sorted(lacking))
        found.append(f"the baseline was given {names}, which the candidate does not have")
    return [*found, *_origin(then, now, doubts)]


def _origin(then: Release, now: Release, doubts: tuple[str, ...]) -> list[str]:
    """Whether the candidate is built from what the baseline was built from."""
    if then.dependencies is None or now.dependencies is None:
        return [
            "the baseline does not say what it was built from: whether code and weights are the "
            "same is not known"
        ]
    found = []
    changed = differences(then.dependencies, now.dependencies, without=SUITE)
    if then.weights != now.weights:
        changed.append("the weights")
    if changed:
        found.append(f"code or weights are new: {_some(changed)}")
    elif then.settings != now.settings:
        found.append("code and weights are the baseline's, settings are not")
    elif doubts:
        found.append("the code that was seen is the baseline's, but not all could be seen")
    else:
        found.append("code and weights are the baseline's")
    if suite := _suite(then.dependencies, now.dependencies):
        found.append(f"rl-eval itself has changed since the baseline: {_some(suite)}")
    if doubts:
        found.append(f"every run is made anew in each check: {'; '.join(doubts[:MOST])}")
    return found


def _suite(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name in differences(then, now) if name.startswith(SUITE)]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
