"""Tier 1 of the gate, seconds: does the optimizer compute, keep and cost what it did?

Its updates on fixed gradients and small problems may differ from the recorded ones by no more
than rounding makes the recorded optimizer differ from itself (`spread`). Of what it does with
its arguments and of the layout of its state nothing may change; of bytes, compilations and the
time of a step next to AdamW's nothing may rise beyond a factor. The axes (`axes`) look where those
problems do not: settings, sizes, names, dtypes, members, odd gradients and a long run.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from rl_eval.gate.finding import Finding, Found
from rl_eval.gate.numerics import step_cost
from rl_eval.gate.numerics.axes.checked import check_axes
from rl_eval.gate.numerics.axes.recorded import Axes, record_axes
from rl_eval.gate.numerics.behaviour import behaviour, state_tree
from rl_eval.gate.numerics.golden import Trajectory, judge, learn, unjudged, unjudged_in_all
from rl_eval.gate.numerics.problems import courses
from rl_eval.gate.numerics.spread import Spawn, one_line, variants
from rl_eval.gate.numerics.subject import ACTIVATIONS, Subject
from rl_eval.gate.numerics.trajectory import Build, Runner, cpu, leaf_names, leaf_sizes
from rl_eval.strict import STRICT

PROTOCOL = 1  # rises with every change of the problems or of what is kept of them
TIMES_MEASURED = 3  # before a step is called slower
ELSEWHERE = 2.0  # times the factor that is allowed for a step on another processor


@dataclasses.dataclass(frozen=True)
class Numerics:
    """What tier 1 keeps of a trusted optimizer.

    Attributes:
        hardware: the processor on which `step_ratio` was measured.
        trajectories: by name.
        spread: largest deviation by what was varied, relative to the leaf's largest update.
        left_out: what could not be varied, and why.
        state: dtype and shape of each leaf of the state.
        state_bytes: for `step_cost.SHAPES`.
        behaviour: what becomes of each argument.
        compilations: of one update, over a trajectory.
        step_ratio: time of a step over AdamW's; null where it cannot be measured.
        step_ratio_factor, state_bytes_factor: how much more is allowed.
        axes: None in older records, and for rules that read activations.
    """

    __pydantic_config__ = STRICT

    protocol: int
    hardware: str
    trajectories: dict[str, Trajectory]
    spread: dict[str, float]
    left_out: dict[str, str]
    state: dict[str, str]
    state_bytes: int
    behaviour: dict[str, str]
    compilations: int
    step_ratio: float | None
    step_ratio_factor: float = 2.0
    state_bytes_factor: float = 1.05
    axes: Axes | None = None

    def __post_init__(self) -> None:
        if self.protocol != PROTOCOL:
            raise ValueError(
                f"protocol {self.protocol} of the numerics tier was recorded, this version has "
                f"{PROTOCOL}: record the baseline again"
            )


def record(subject: Subject, spawn: Spawn | None = None) -> Numerics:
    """All of it, for an optimizer that is trusted.

    Args:
        subject: the optimizer.
        spawn: where another process finds the same optimizer, to vary the number of threads.

    Raises:
        RuntimeError: the other process failed.
    """
    build, needs = subject.build, subject.needs
    with cpu():
        runners = [Runner(build, needs, course) for course in courses(needs)]
        reference = {name: run for runner in runners for name, run in runner.all().items()}
        compilations = runners[0].compilations
        runs, left_out = variants(build, needs, spawn)
        trajectories, spread = {}, dict.fromkeys(runs, 0.0)
        for course in courses(needs):
            for name in course.names:
                others = {
                    kind: [r[name] for r in found if name in r] for kind, found in runs.items()
                }
                trajectories[name], largest = learn(
                    reference[name], others, leaf_names(course), leaf_sizes(course)
                )
                spread = {kind: max(spread[kind], largest[kind]) for kind in spread}
        state, behaves = state_tree(runners[0]), behaviour(runners[0], needs)
        axes = None if ACTIVATIONS in needs else record_axes(subject)
    return Numerics(
        protocol=PROTOCOL,
        hardware=step_cost.hardware(),
        trajectories=trajectories,
        spread=spread,
        left_out=left_out,
        state=state,
        state_bytes=step_cost.state_bytes(build),
        behaviour=behaves,
        compilations=compilations,
        step_ratio=step_cost.step_ratio(build, needs),
        axes=axes,
    )


def check(subject: Subject, recorded: Numerics) -> list[Finding]:
    """One finding for each trajectory, axis and each of the other things that were recorded.

    A candidate that raises where the recorded optimizer did not is a regression.
    """
    build, needs = subject.build, subject.needs
    with cpu():
        runners = [Runner(build, needs, course) for course in courses(needs)]
        findings = _updates(runners, recorded)
        findings.append(_compilations(runners[0], recorded))
        findings += _guarded(["state tree"], lambda: [_state(runners[0], recorded)])
        findings += _guarded(["arguments"], lambda: [_arguments(runners[0], needs, recorded)])
        findings += _guarded(["axes"], lambda: check_axes(subject, recorded.axes))
    return findings + check_cost(build, needs, recorded)


def check_cost(build: Build, needs: frozenset[str], recorded: Numerics) -> list[Finding]:
    """The part of `check` about bytes and time."""
    return [
        *_guarded(["state bytes"], lambda: [_bytes(build, recorded)]),
        *_guarded(["step time"], lambda: [_time(build, needs, recorded)]),
    ]


def check_updates(build: Build, needs: frozenset[str], recorded: Numerics) -> list[Finding]:
    """The part of `check` that compares trajectories."""
    with cpu():
        return _updates([Runner(build, needs, course) for course in courses(needs)], recorded)


def _updates(runners: list[Runner], recorded: Numerics) -> list[Finding]:
    findings = []
    for runner in runners:
        names = [f"trajectory {name}" for name in runner.course.names]
        findings += _guarded(names, functools.partial(_along, runner, recorded))
    return findings


def _guarded(names: list[str], look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except Exception as error:
        return [_finding(name, "regression", f"raises {one_line(error)}") for name in names]


def _along(runner: Runner, recorded: Numerics) -> list[Finding]:
    known = {name: recorded.trajectories[name] for name in runner.course.names}
    lost = set(unjudged_in_all(known.values()))
    return [
        _finding(f"trajectory {name}", *_judged(known[name], run, lost))
        for name, run in runner.all().items()
    ]


def _judged(recorded: Trajectory, run: np.ndarray, lost: set[str]) -> tuple[Found, str]:
    """Skipped where other trajectories on the tree can judge what this one cannot."""
    verdict, detail = judge(recorded, run)
    leaves = unjudged(recorded)
    if verdict != "pass" or not leaves:
        return verdict, detail
    return "inconclusive" if lost.intersection(leaves) else "skipped", (
        f"cannot judge: the baseline differs from itself so much that leaf {leaves[0]} could "
        f"be frozen or move the other way; {len(leaves)} of {len(recorded.leaves)} leaves"
    )


def _state(runner: Runner, recorded: Numerics) -> Finding:
    now, then = state_tree(runner), recorded.state
    changed = [
        f"{path}: {then.get(path, 'nothing')} became {now.get(path, 'nothing')}"
        for path in dict.fromkeys([*then, *now])
        if then.get(path) != now.get(path)
    ]
    return _compared("state tree", changed, f"same {len(now)} leaves")


def _arguments(runner: Runner, needs: frozenset[str], recorded: Numerics) -> Finding:
    now, then = behaviour(runner, needs), recorded.behaviour
    changed = [
        f"{name}: {then.get(name)}, now {now.get(name)}"
        for name in dict.fromkeys([*then, *now])
        if _kind(then.get(name)) != _kind(now.get(name))
    ]
    return _compared("arguments", changed, "; ".join(f"{k}: {v}" for k, v in now.items()))


def _kind(word: str | None) -> str | None:
    """Which error is raised says who noticed, not what the rule needs."""
    return word.partition(" ")[0] if word and word.startswith("raises ") else word


def _compared(check: str, changed: list[str], same: str) -> Finding:
    if not changed:
        return _finding(check, "pass", same)
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return _finding(check, "regression", changed[0] + more)


def _compilations(runner: Runner, recorded: Numerics) -> Finding:
    detail = f"{runner.compilations} of one update, {recorded.compilations} recorded"
    worse = runner.compilations > recorded.compilations
    return _finding("compilations", "regression" if worse else "pass", detail)


def _bytes(build: Build, recorded: Numerics) -> Finding:
    now, then = step_cost.state_bytes(build), recorded.state_bytes
    detail = f"{now} for a fixed tree, {then} recorded"
    worse = now > then * recorded.state_bytes_factor
    return _finding("state bytes", "regression" if worse else "pass", detail)


def _time(build: Build, needs: frozenset[str], recorded: Numerics) -> Finding:
    then = recorded.step_ratio
    if then is None:
        return _finding("step time", "skipped", "not compared: it was not recorded")
    allowed, where = then * recorded.step_ratio_factor, ""
    if step_cost.hardware() != recorded.hardware:
        allowed, where = allowed * ELSEWHERE, f" on {recorded.hardware}"
    now = float("inf")
    for _ in range(TIMES_MEASURED):
        now = min(now, step_cost.step_ratio(build, needs) or 0.0)
        if now <= allowed:
            break
    detail = f"{now:.2g} times AdamW's, {then:.2g} recorded{where}, up to {allowed:.2g} allowed"
    return _finding("step time", "pass" if now <= allowed else "regression", detail)


def _finding(check: str, verdict: Found, detail: str) -> Finding:
    return Finding("numerics", check, verdict, detail)
