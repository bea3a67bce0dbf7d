"""A recorded trajectory, and whether another one is the same but for rounding."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from rl_eval.gate.finding import Verdict
from rl_eval.strict import STRICT

SPREADS = 10.0  # how many times its own spread an optimizer may move
FLOOR = 1e-5  # and how much anyway, relative to the leaf's largest update so far
CEILING = (
    0.5  # of an update: a leaf that is frozen deviates by all of it, a sign flip by twice that
)


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """Sketches of the updates of every leaf at every step, and what they may differ by.

    Attributes:
        leaves: paths.
        sizes: numbers in the sketch of each leaf.
        sketches: [step, sum of sizes], little-endian float32 in base64.
        tolerances: [step, leaf], likewise.
    """

    __pydantic_config__ = STRICT

    leaves: tuple[str, ...]
    sizes: tuple[int, ...]
    sketches: str
    tolerances: str

    def __post_init__(self) -> None:
        if len(self.leaves) != len(self.sizes) or min(self.sizes, default=0) < 1:
            raise ValueError("each leaf needs the size of its sketch")
        if len(_decode(self.sketches, sum(self.sizes))) != len(
            _decode(self.tolerances, len(self.leaves))
        ):
            raise ValueError("sketches and tolerances differ in their number of steps")


def learn(
    reference: Float[np.ndarray, "step number"],
    others: Mapping[str, Sequence[Float[np.ndarray, "step number"]]],
    leaves: tuple[str, ...],
    sizes: tuple[int, ...],
    floor: float = FLOOR,
) -> tuple[Trajectory, dict[str, float]]:
    """The record of a trajectory, and its largest relative deviation by what was varied.

    Rounding errors may grow along a trajectory and never shrink here: the tolerance of a step is
    that of the steps before it at least. Where an own run is not finite and the reference is,
    everything is allowed.
    """
    with np.errstate(over="ignore"):
        reference = reference.astype(np.float32)
    scale = _scale(reference, sizes)
    deviations = {
        name: [_deviation(reference, run, sizes) for run in runs] for name, runs in others.items()
    }
    spread = np.max(
        [np.zeros_like(scale), *(d for runs in deviations.values() for d in runs)], axis=0
    )
    tolerances = SPREADS * np.maximum.accumulate(spread) + floor * scale
    largest = {
        name: max((float(_relative(d, scale).max()) for d in runs), default=0.0)
        for name, runs in deviations.items()
    }
    return Trajectory(leaves, sizes, _encode(reference), _encode(tolerances)), largest


def judge(recorded: Trajectory, run: Float[np.ndarray, "step number"]) -> tuple[Verdict, str]:
    """Same or changed within rounding (both pass), or changed; with where and by how much."""
    reference = _decode(recorded.sketches, sum(recorded.sizes))
    tolerances = _decode(recorded.tolerances, len(recorded.leaves))
    deviation = _deviation(reference, run, recorded.sizes)
    if not deviation.any():
        return "pass", "same"
    scale = _scale(reference, recorded.sizes)
    beyond = deviation > tolerances
    moved = beyond if beyond.any() else deviation > 0
    step = int(moved.any(axis=1).argmax())
    relative, allowed = _relative(deviation, scale), _relative(tolerances, scale)
    leaf = int(np.where(moved[step], relative[step], -1).argmax())
    if not beyond.any():
        known = np.isfinite(tolerances) & (tolerances > 0)
        share = float((deviation[known] / tolerances[known]).max(initial=0.0))
        return "pass", (
            f"changed within rounding: from step {step}, leaf {recorded.leaves[leaf]}; at most "
            f"{share:.1%} of what is allowed"
        )
    return "regression", (
        f"changed: first at step {step}, leaf {recorded.leaves[leaf]}, by "
        f"{relative[step, leaf]:.2g} of its largest update so far, where {allowed[step, leaf]:.1g} "
        f"is rounding; {int(beyond.any(axis=0).sum())} of {len(recorded.leaves)} leaves moved"
    )


def unjudged(recorded: Trajectory, always: bool = False) -> tuple[str, ...]:
    """Leaves that could be frozen, or move the other way, within the tolerance.

    Args:
        recorded: the trajectory.
        always: a leaf must be judged at every step, by its largest update so far; not at one.
    """
    moves, seen = _seen(recorded, always)
    missed, caught = (moves & ~seen).any(axis=0), (moves & seen).any(axis=0)
    blind = np.flatnonzero(missed if always else missed & ~caught)
    return tuple(recorded.leaves[i] for i in blind)


def unjudged_in_all(recorded: Collection[Trajectory]) -> tuple[str, ...]:
    """Leaves, of trajectories on one tree, that none of them can judge and one should."""
    blind = dict.fromkeys(leaf for one in recorded for leaf in unjudged(one))
    caught = {
        leaf
        for one in recorded
        for leaf, seen in zip(one.leaves, np.logical_and(*_seen(one)).any(axis=0), strict=True)
        if seen
    }
    return tuple(leaf for leaf in blind if leaf not in caught)


def _seen(
    recorded: Trajectory, always: bool = False
) -> tuple[Bool[np.ndarray, "step leaf"], Bool[np.ndarray, "step leaf"]]:
    """Where a leaf moves, and where a tolerance is small enough to see whether it does."""
    reference = _decode(recorded.sketches, sum(recorded.sizes))
    tolerances = _decode(recorded.tolerances, len(recorded.leaves))
    now = _per_leaf(np.where(np.isfinite(reference), np.abs(reference), 0), recorded.sizes)
    size = _scale(reference, recorded.sizes) if always else now
    return now > 0, tolerances < CEILING * size


def _deviation(
    reference: Float[np.ndarray, "step number"],
    run: Float[np.ndarray, "step number"],
    sizes: Sequence[int],
) -> Float[np.ndarray, "step leaf"]:
    """Largest difference of each leaf's sketch; infinite where only one of the two is finite."""
    with np.errstate(over="ignore"):
        run = run.astype(np.float32)
    finite, there = np.isfinite(reference), np.isfinite(run)
    difference = np.where(finite & there, reference - np.where(there, run, 0), 0)
    return _per_leaf(np.where(finite == there, np.abs(difference), np.inf), sizes)


def _scale(
    reference: Float[np.ndarray, "step number"], sizes: Sequence[int]
) -> Float[np.ndarray, "step leaf"]:
    """The largest finite number of each leaf so far."""
    size = np.where(np.isfinite(reference), np.abs(reference), 0)
    return np.maximum.accumulate(_per_leaf(size, sizes))


def _per_leaf(
    numbers: Float[np.ndarray, "step number"], sizes: Sequence[int]
) -> Float[np.ndarray, "step leaf"]:
    starts = np.cumsum([0, *sizes[:-1]])
    return np.maximum.reduceat(np.asarray(numbers, np.float64), starts, axis=1)


def _relative(
    deviation: Float[np.ndarray, "step leaf"], scale: Float[np.ndarray, "step leaf"]
) -> Float[np.ndarray, "step leaf"]:
    """Deviations over scales; infinite where something became of nothing."""
    known = scale > 0
    over = deviation / np.where(known, scale, 1)
    return np.where(known | (deviation == 0), over, np.inf)


def _encode(numbers: Float[np.ndarray, ...]) -> str:
    return base64.b64encode(numbers.astype("<f4").tobytes()).decode("ascii")


def _decode(text: str, width: int) -> Float[np.ndarray, "step {width}"]:
    """Raises ValueError where the text is no such array."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(-1, width)
