"""An environment that has a name: what is known of it before a pool of it is open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

from rl_eval.envs.base import Layout, closed
from rl_eval.types import Environment

Family = Literal["atari", "minatar", "classic", "probe", "other"]
Kwargs = Mapping[str, Any]
Open = Callable[[Layout, Kwargs], Environment]


@dataclasses.dataclass(frozen=True)
class Described:
    """Found once by name (`rl_eval.envs.registry.describe`) and handed on.

    Attributes:
        backend: what simulates it.
        family: decides default networks and hyperparameters.
        open: makes a pool; the second argument is for the environment's constructor. None where
            that takes more than arguments: Atari games and formulas.
        jittable: whether evaluations can make and play it inside jit; None: a pool must be asked.
    """

    id: str
    backend: str
    family: Family
    open: Open | None = None
    jittable: bool | None = False

    def inside_jit(self, kwargs: Kwargs) -> bool:
        """Whether evaluations make and play it inside jit."""
        if self.jittable is not None or self.open is None:
            return bool(self.jittable)
        with closed(self.open(Layout(1), kwargs)) as env:
            return env.jittable and env.rewindable
