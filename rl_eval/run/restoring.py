"""From the checkpoints of a population's members to its state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from rl_eval.config import RunConfig, alone, config_id, to_dict
from rl_eval.ppo.members import join_members, take_member
from rl_eval.ppo.state import TrainState
from rl_eval.records.run import RunDirectory, read_object
from rl_eval.run import checkpoint
from rl_eval.run.checkpoint import Checkpoint, CheckpointError
from rl_eval.run.member import STATE


def complete(directories: Sequence[RunDirectory], config: RunConfig) -> None:
    """Begin the records of members that a kill came before, as their siblings' were begun.

    Raises:
        RecordError: no member has a record.
    """
    files = [directory.path / "config.json" for directory in directories]
    begun = next((file for file in files if file.exists()), files[0])
    document = read_object(begun)
    for file, directory, one in zip(files, directories, alone(config), strict=True):
        if not file.exists():
            directory.create(to_dict(one), document["provenance"])


def newest_checkpoints(
    directories: Sequence[RunDirectory], config: RunConfig, notify: Callable[[str], None]
) -> list[Checkpoint]:
    """The newest checkpoint that every seed has whole; empty if none was written yet."""
    there = [set(checkpoint.iterations(d.checkpoints)) for d in directories]
    problem = None
    for iteration in sorted(set.intersection(*there), reverse=True):
        try:
            return [
                checkpoint.load(d.checkpoints, iteration, config_id(one))
                for d, one in zip(directories, alone(config), strict=True)
            ]
        except CheckpointError as error:
            problem = error
            notify(str(error))
    if problem is not None:
        raise CheckpointError(f"no usable checkpoint is left: {problem}")
    return []


def wall_s_of(saved: Checkpoint) -> float:
    """Seconds that a run had taken when it was saved.

    Raises:
        CheckpointError: it does not tell.
    """
    seconds = saved.facts.get("wall_s")
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < float("inf"):
        raise CheckpointError(f"{saved.path}: does not tell how long the run took so far")
    return float(seconds)


def with_checkpoints(
    state: TrainState, found: Sequence[Checkpoint], rewindable: bool
) -> TrainState:
    """`state` with what the checkpoints hold; games that cannot be saved stay new."""
    members = []
    for i, saved in enumerate(found):
        fresh = take_member(state, i, len(found))
        if rewindable:
            members.append(checkpoint.fill(fresh, saved, f"['{STATE}']"))
        else:
            learner = checkpoint.fill(fresh.learner, saved, f"['{STATE}'].learner")
            members.append(dataclasses.replace(fresh, learner=learner))
    return join_members(members)
