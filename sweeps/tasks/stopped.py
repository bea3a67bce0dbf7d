"""What a worker of the gate does to see whether a run survives being stopped."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.run import checkpoint
from sweeps.execution.work import Ending, Run, Tell
from sweeps.tasks import trial

STOP_AT = 0.3  # of the run; by then chunks are long, so that it is a little more


def stopped_once() -> Run:
    """Runs as a sweep's worker, but asks itself to end half way; whoever comes next goes on."""
    run = trial.make()

    def interrupted(
        values: Mapping[str, Any], directory: Path, tell: Tell
    ) -> tuple[Ending, str | None, float | None]:
        fresh = not checkpoint.iterations(directory / "checkpoints")

        def watch(share: float, score: float | None) -> None:
            tell(share, score)
            if fresh and STOP_AT <= share < 1:
                signal.raise_signal(signal.SIGTERM)  # the runner saves, and this process ends

        return run(values, directory, watch)

    return interrupted
