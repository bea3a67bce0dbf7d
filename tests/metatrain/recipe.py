"""The first iterations of the run that made the shipped celo2-base, as a process of its own."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import tyro

from optimizers import weights
from optimizers.metatrain import Cadence, MetaTrainConfig, train
from rl_eval.cli.meta_train import MetaTrain

ITERATIONS = 200


def config() -> MetaTrainConfig:
    """Of the whole run: its length decides the learning rate of the first iterations too."""
    _, name, *arguments = shlex.split(weights.manifest()["celo2-base"]["command"])
    assert name == "meta-train"
    return tyro.cli(MetaTrain, args=arguments).config


def stop_there(row: dict[str, Any]) -> None:
    if row["iteration"] == ITERATIONS:
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    train(config(), Path(sys.argv[1]), stop_there, cadence=Cadence(metric=0))
