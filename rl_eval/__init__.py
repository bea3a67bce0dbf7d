"""Evaluate optimizers on reinforcement learning.

import rl_eval

run = rl_eval.train("CartPole-v1", optimizer="celo2", seeds=3)
run.final_returns, run.metrics, run.cost
"""

from typing import TYPE_CHECKING

from rl_eval.lazily import lazily as _lazily

if TYPE_CHECKING:
    from rl_eval.envs.registry import register_env
    from rl_eval.reports import report
    from rl_eval.run.view import Run, load
    from rl_eval.setup.evaluating import Evaluation, evaluate, record
    from rl_eval.setup.training import train

__all__ = ["Evaluation", "Run", "evaluate", "load", "record", "register_env", "report", "train"]

__getattr__ = _lazily(
    __name__,
    {
        "Evaluation": "rl_eval.setup.evaluating",
        "Run": "rl_eval.run.view",
        "evaluate": "rl_eval.setup.evaluating",
        "load": "rl_eval.run.view",
        "record": "rl_eval.setup.evaluating",
        "register_env": "rl_eval.envs.registry",
        "report": "rl_eval.reports",
        "train": "rl_eval.setup.training",
    },
)
