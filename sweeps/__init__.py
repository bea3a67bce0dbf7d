"""Studies made of many runs: sweeps, comparisons, and the release gate.

import sweeps

study = sweeps.sweep("Breakout-MinAtar", optimizers=["celo2", "adamw"], trials=64, seeds=3)
comparison = sweeps.compare("minatar-4", optimizers=["adamw", "mine:make"], tune="lr")
verdict = sweeps.check(baseline="baselines/adamw-0.1.json", candidate="mine:make")
"""

from typing import TYPE_CHECKING

from rl_eval.lazily import lazily as _lazily

if TYPE_CHECKING:
    from sweeps.checking import Verdict, check, explain, record
    from sweeps.comparing import Comparison, compare, load_comparison
    from sweeps.study import Study, load_study
    from sweeps.sweeping import sweep

__all__ = [
    "Comparison",
    "Study",
    "Verdict",
    "check",
    "compare",
    "explain",
    "load_comparison",
    "load_study",
    "record",
    "sweep",
]

__getattr__ = _lazily(
    __name__,
    {
        "Comparison": "sweeps.comparing",
        "Study": "sweeps.study",
        "Verdict": "sweeps.checking",
        "check": "sweeps.checking",
        "compare": "sweeps.comparing",
        "explain": "sweeps.checking",
        "load_comparison": "sweeps.comparing",
        "load_study": "sweeps.study",
        "record": "sweeps.checking",
        "sweep": "sweeps.sweeping",
    },
)
