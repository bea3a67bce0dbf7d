"""What the axes say of a candidate next to what was recorded of the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from rl_eval.gate.finding import Finding, Found, Verdict
from rl_eval.gate.numerics.axes import alone
from rl_eval.gate.numerics.axes.recorded import HORIZON, Axes, Stage
from rl_eval.gate.numerics.axes.sheet import Sheet
from rl_eval.gate.numerics.golden import Trajectory, judge, unjudged, unjudged_in_all
from rl_eval.gate.numerics.spread import one_line
from rl_eval.gate.numerics.subject import ACTIVATIONS, Subject

SCRATCH_FACTOR, SCRATCH_MORE = 1.1, 32_768  # times and bytes of temporaries that are allowed


def check_axes(subject: Subject, recorded: Axes | None) -> list[Finding]:
    """A finding an axis; without a record, the candidate is compared with itself alone."""
    if ACTIVATIONS in subject.needs:
        return [_finding("axes", "skipped", "not looked at: it reads activations")]
    if recorded is not None:
        subject = _as_recorded(subject, recorded)
    stage = Stage(subject)
    if recorded is None:
        said = ", ".join(stage.looks())
        detail = f"not recorded: {said}; record the baseline again to have them compared"
        findings = [_finding("axes", "skipped", detail)]
    else:
        findings = [*_compared(stage, recorded), scratch(stage, recorded)]
    return findings + alone.check_alone(stage, recorded)


def _as_recorded(subject: Subject, recorded: Axes) -> Subject:
    """With the recorded values of those hyperparameters that it has."""
    return dataclasses.replace(
        subject,
        ends={name: x for name, x in recorded.ends.items() if name in subject.traced},
        choices={name: x for name, x in recorded.choices.items() if name in subject.choices},
    )


def _compared(stage: Stage, recorded: Axes) -> list[Finding]:
    findings = [compare(stage, recorded, axis) for axis in recorded.trajectories]
    return findings + [
        _finding(axis, "skipped", f"not recorded: the baseline raised {why}")
        for axis, why in recorded.raised.items()
    ]


def compare(stage: Stage, recorded: Axes, axis: str) -> Finding:
    """One axis with what was recorded of it."""
    look = stage.looks().get(axis)
    if look is None:
        return _finding(axis, "skipped", "not compared: the candidate has no such hyperparameter")
    try:
        return _finding(axis, *judge_all(axis, recorded.trajectories[axis], look(0)))
    except Exception as error:
        return _finding(axis, "regression", f"raises {one_line(error)}")


def judge_all(axis: str, known: Mapping[str, Trajectory], sheet: Sheet) -> tuple[Verdict, str]:
    """The worst run of an axis; a leaf that none of its runs can judge makes it inconclusive."""
    always = axis == HORIZON
    wrong, moved, blind = [], [], []
    missing = [run for run in known if run not in sheet.runs]
    for run, trajectory in known.items():
        if run in missing:
            continue
        verdict, detail = judge(trajectory, sheet.runs[run])
        told = detail if run == axis else f"{run}: {detail}"
        if verdict != "pass":
            wrong.append(told)
        elif detail != "same":
            moved.append(told)
        blind += [f"{run}, leaf {leaf}" for leaf in unjudged(trajectory, always)]
    if wrong:
        return "regression", _first(wrong)
    lost = [leaf for one in known.values() for leaf in unjudged(one, always)] if always else []
    lost += unjudged_in_all(known.values())
    if lost:
        return "inconclusive", (
            "cannot judge: within what the baseline differs from itself a leaf could be frozen "
            f"or move the other way ({_first(blind)})"
        )
    without = f"; not compared, the candidate has none: {', '.join(missing)}" if missing else ""
    vague = f"; cannot judge {_first(blind)}" if blind else ""
    return "pass", (_first(moved) if moved else f"same in {len(sheet.runs)} runs") + without + vague


def scratch(stage: Stage, recorded: Axes) -> Finding:
    """Temporaries of a step; reuse of them is XLA's, so that a little more is no change."""
    check, then = "scratch memory", recorded.scratch_bytes
    if then is None:
        return _finding(check, "skipped", "not recorded")
    try:
        now = stage.sizes.scratch_bytes
    except Exception as error:
        return _finding(check, "regression", f"raises {one_line(error)}")
    allowed = int(then * SCRATCH_FACTOR) + SCRATCH_MORE
    detail = f"{now} bytes of temporaries in a step, {then} recorded, up to {allowed} allowed"
    return _finding(check, "pass" if now <= allowed else "regression", detail)


def _first(said: list[str]) -> str:
    more = f" and {len(said) - 1} more" if len(said) > 1 else ""
    return said[0] + more


def _finding(check: str, verdict: Found, detail: str) -> Finding:
    return Finding("numerics", check, verdict, detail)
