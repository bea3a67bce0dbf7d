"""The first iterations of the run that made the shipped celo2-base, as a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from optimizers import weights
from optimizers.metatrain import Cadence, MetaTrainConfig, train

ITERATIONS = 200


def config() -> MetaTrainConfig:
    """Of the whole run: its length decides the learning rate of the first iterations too."""
    made = weights.manifest()["celo2-base"]
    return MetaTrainConfig(made["optimizer"], iterations=made["iterations"], seed=made["seed"])


def stop_there(row: dict[str, Any]) -> None:
    if row["iteration"] == ITERATIONS:
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    train(config(), Path(sys.argv[1]), stop_there, cadence=Cadence(metric=0))
