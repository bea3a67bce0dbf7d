"""Meta-training of learned optimizers: tasks, persistent evolution strategies, the outer loop."""

from __future__ import annotations

from optimizers.metatrain.config import MetaTrainConfig, Outer, Unroll
from optimizers.metatrain.judging.evaluation import Row, evaluate, to_markdown
from optimizers.metatrain.loop import Cadence, Outcome, resume, train
from optimizers.metatrain.rules import MetaRule
from optimizers.metatrain.tasks.tasks import MetaTask

__all__ = [
    "Cadence",
    "MetaRule",
    "MetaTask",
    "MetaTrainConfig",
    "Outcome",
    "Outer",
    "Row",
    "Unroll",
    "evaluate",
    "resume",
    "to_markdown",
    "train",
]
