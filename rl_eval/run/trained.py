"""The policy of a recorded run, read back from its checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import jax

from rl_eval.config import RunConfig, config_id
from rl_eval.reading import read_run
from rl_eval.run import checkpoint
from rl_eval.run.checkpoint import CheckpointError
from rl_eval.run.evaluate import network_of
from rl_eval.run.member import POLICY, STATE

Which = Literal["last", "best"]


@dataclasses.dataclass(frozen=True)
class Trained:
    """A policy. `params`: those to evaluate, leaves [1, ...]; `iteration`: when they were saved."""

    config: RunConfig
    params: Any
    iteration: int


def load_trained(run_dir: Path, which: Which = "last") -> Trained:
    """The newest policy of one seed's run, or the one that did best in an evaluation.

    Raises:
        RecordError: not a run directory.
        CheckpointError: no checkpoint, a damaged one, or no evaluation to tell the best by.
    """
    config = read_run(run_dir).config
    folder = run_dir / "checkpoints"
    if which == "best":
        iteration = checkpoint.best(folder)
        if iteration is None:
            raise CheckpointError(
                f"{folder}: no checkpoint was evaluated, so none is the best; train with "
                "--eval-every, or ask for the last"
            )
    else:
        there = checkpoint.iterations(folder)
        if not there:
            raise CheckpointError(f"{folder}: no checkpoint is there")
        iteration = there[0]
    saved = checkpoint.load(folder, iteration, config_id(config))
    special = any(name.startswith(f"['{POLICY}']") for name in saved.leaves)
    prefix = f"['{POLICY}']" if special else f"['{STATE}'].learner.params"
    return Trained(config, checkpoint.fill(_template(config), saved, prefix), iteration)


def _template(config: RunConfig) -> Any:
    """Shapes of the parameters of a population of one."""
    shapes = jax.eval_shape(network_of(config).init, jax.random.key(0))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), shapes)
