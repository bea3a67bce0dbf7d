"""What the axes keep of a trusted optimizer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeVar

from rl_eval.config import Setting
from rl_eval.gate.numerics.axes import dtypes, extremes, settings
from rl_eval.gate.numerics.axes.bench import Bench
from rl_eval.gate.numerics.axes.empty import empty_leaf
from rl_eval.gate.numerics.axes.horizon import Long
from rl_eval.gate.numerics.axes.naming import Names
from rl_eval.gate.numerics.axes.sheet import Look
from rl_eval.gate.numerics.axes.sizes import Sizes
from rl_eval.gate.numerics.golden import Trajectory, learn
from rl_eval.gate.numerics.spread import one_line
from rl_eval.gate.numerics.subject import Subject
from rl_eval.strict import STRICT

T = TypeVar("T")
D = TypeVar("D")

PROTOCOL = 1  # rises with every change of what the axes run
NOISY = 2  # runs with noise on the gradients
HORIZON = "long run"


@dataclasses.dataclass(frozen=True)
class Axes:
    """Trajectories by axis and run, and what else is compared.

    Attributes:
        raised: of an axis that the optimizer could not do, why.
        ends, choices: hyperparameters and the values they were given; see `Subject`.
        effects: by mix of dtypes, how far each leaf's updates are from those in float32.
        naming: by way to write a tree, the leaves whose updates it changes.
        scratch_bytes: temporaries of a step on the tree of sizes.
    """

    __pydantic_config__ = STRICT

    protocol: int
    trajectories: dict[str, dict[str, Trajectory]]
    raised: dict[str, str]
    ends: dict[str, tuple[float, ...]]
    choices: dict[str, tuple[Setting, ...]]
    effects: dict[str, tuple[float, ...]]
    naming: dict[str, tuple[str, ...]]
    scratch_bytes: int | None

    def __post_init__(self) -> None:
        if self.protocol != PROTOCOL:
            raise ValueError(
                f"protocol {self.protocol} of the axes of the numerics tier was recorded, this "
                f"version has {PROTOCOL}: record the baseline again"
            )


class Stage:
    """An optimizer with the programs of all axes, each compiled when it is first asked for."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.bench = Bench(subject)
        self.sizes, self.names, self.long = Sizes(subject), Names(subject), Long(subject)

    def looks(self) -> dict[str, Look]:
        """Every axis that is compared with a recorded one."""
        return {
            "settings": settings.traced_settings(self.bench),
            **settings.static_settings(self.bench),
            "gradients": extremes.extreme_gradients(self.bench),
            "losses": extremes.other_losses(self.bench),
            "no loss": extremes.no_loss(self.bench),
            "dtypes": dtypes.dtypes(self.bench),
            "sizes": self.sizes,
            "many leaves": self.names,
            "empty leaf": empty_leaf(self.subject),
            HORIZON: lambda member: self.long.run(member).sheet,
        }


def record_axes(subject: Subject) -> Axes:
    """All axes, for an optimizer that is trusted."""
    stage = Stage(subject)
    raised: dict[str, str] = {}
    trajectories: dict[str, dict[str, Trajectory]] = {}

    def attempt(axis: str, act: Callable[[], T], otherwise: D) -> T | D:
        try:
            return act()
        except Exception as error:  # whatever an optimizer raises is what it does
            raised[axis] = one_line(error)
            return otherwise

    for axis, look in stage.looks().items():
        found = attempt(axis, functools.partial(_trajectories, look), None)
        if found is not None:
            trajectories[axis] = found
    none: dict[str, tuple[float, ...]] = {}
    return Axes(
        protocol=PROTOCOL,
        trajectories=trajectories,
        raised=raised,
        ends=dict(subject.ends),
        choices=dict(subject.choices),
        effects=attempt("dtypes", lambda: dtypes.effects(stage.bench), none),
        naming=attempt("names and order", lambda: stage.names.naming().changed, {}),
        scratch_bytes=attempt("sizes", lambda: stage.sizes.scratch_bytes, None),
    )


def _trajectories(look: Look) -> dict[str, Trajectory]:
    plain, *noisy = [look(member) for member in range(1 + NOISY)]
    found = {}
    for run, numbers in plain.runs.items():
        others = {"noise": [sheet.runs[run] for sheet in noisy]}
        found[run], _ = learn(numbers, others, plain.leaves, plain.sizes, plain.floor)
    return found
