"""The second tier: does it still learn what it learned, and does a run survive being stopped?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rl_eval.gate.baseline import Run
from rl_eval.gate.finding import Finding, Tier
from rl_eval.gate.protocol import LEARNED, RESUMED
from rl_eval.records.run import EVALUATIONS, METRICS, RESUMES, RecordError, read_lines

TIER: Tier = "probes"


def level(name: str, candidate: Sequence[Run], baseline: Sequence[Run]) -> Finding:
    """A probe has one right answer: each seed that found it must find it again."""
    once = [run.score >= LEARNED for run in baseline]
    lost = [
        run.seed
        for run, before in zip(candidate, once, strict=True)
        if before and (run.diverged or run.score < LEARNED)
    ]
    if not lost:
        return Finding(TIER, name, "pass", f"learned by all {sum(once)} seeds that learned it")
    worst = min(run.score for run in candidate if run.seed in lost)
    what = f"not learned with seeds {', '.join(map(str, lost))}, of {sum(once)} that learned it"
    return Finding(TIER, name, "regression", f"{what}; lowest score {worst:.2f}")


def ends(run: Path) -> list[object]:
    """What a run ended with, to the last digit: its last losses and norms, and its games.

    Raises:
        RecordError: it has no such records.
    """
    rows = [read_lines(run / name)[0] for name in (METRICS, EVALUATIONS) if (run / name).is_file()]
    if len(rows) < 2 or not all(rows):
        raise RecordError(f"{run}: it has no metrics or no evaluation")
    metrics, games = rows[0][-1], rows[1][-1]
    return [metrics.get("loss"), metrics.get("param_norm"), games.get("returns")]


def resumed(whole: Path, stopped: Path, exactly: bool | None) -> Finding:
    """Whether a run that was stopped half way, in another process, ended as one that was not.

    Args:
        exactly: whether the baseline's did; where numbers do not repeat, nothing can be said.

    Raises:
        RecordError: a run without records.
    """
    name = f"resume {RESUMED}"
    last = read_lines(whole / METRICS)[0][-1]["iteration"]
    notes = read_lines(stopped / RESUMES)[0] if (stopped / RESUMES).is_file() else []
    middle = [note["iteration"] for note in notes if 0 < note["iteration"] < last]
    if not middle:
        detail = f"the run has {last} iterations and was not stopped between them"
        return Finding(TIER, name, "inconclusive", detail)
    what = f"a run stopped after iteration {middle[0]} of {last} and gone on with ends"
    if json.dumps(ends(whole)) == json.dumps(ends(stopped)):
        return Finding(TIER, name, "pass", f"{what} bit for bit the same")
    if not exactly:
        detail = "not compared: the baseline's own run did not repeat exactly on its machine"
        return Finding(TIER, name, "skipped", detail)
    detail = f"{what} differently: not all of the optimizer's state is saved"
    return Finding(TIER, name, "regression", detail)
