"""From the records of a run to its score."""

from __future__ import annotations

from pathlib import Path

from rl_eval.errors import ExplainedError
from rl_eval.gate import protocol
from rl_eval.gate.baseline import Run
from rl_eval.records.run import METRICS, read_lines, read_object
from rl_eval.records.scored import check_alone, lost_its_score


class RunFailedError(ExplainedError):
    """A run that neither completed nor diverged."""


def outcome(directory: Path, env_id: str, seed: int) -> Run:
    """What a run that has ended scored; one that diverged scores 0.

    Raises:
        RunFailedError: it failed, with the reason.
        RecordError: its records cannot be read, or it was not trained by itself.
    """
    check_alone(directory)
    status = read_object(directory / "status.json")
    if status.get("status") == "diverged":
        return Run(seed, 0.0, None, True)
    returned = status.get("eval_return")
    if status.get("status") != "completed" or not isinstance(returned, (int, float)):
        reason = status.get("reason") or f"it is {status.get('status')}"
        if lost_its_score(status):
            reason = "the return of its evaluation is not finite"
        raise RunFailedError(f"{env_id} seed {seed} failed: {reason}")
    rows = read_lines(directory / METRICS)[0]
    value_loss = rows[-1].get("value_loss") if rows else None
    score = protocol.score(env_id, float(returned), value_loss)
    return Run(seed, score, float(returned), False)
