"""The books of one seed: metrics, evaluations, checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from rl_eval.config import RunConfig, config_id
from rl_eval.ppo.state import TrainState
from rl_eval.records.finite import finite
from rl_eval.records.run import EvalRow, RunDirectory
from rl_eval.run import checkpoint
from rl_eval.run.metrics import MemberMetrics

# Where a checkpoint keeps the state, and the parameters to evaluate if not those in training.
STATE, POLICY = "state", "policy"


class Member:
    """One seed of a population, and its directory.

    Args:
        config: of this seed alone.
        floor: the score of divergence.
    """

    def __init__(
        self, config: RunConfig, index: int, directory: RunDirectory, floor: float | None
    ) -> None:
        self.config, self.directory, self.floor = config, directory, floor
        self.metrics = MemberMetrics(config, index, directory)
        self.evaluated_at = 0  # iteration
        self.eval_return: float | None = None
        self.best: float | None = None
        self.said_starved = False

    def evaluated(
        self, returns: np.ndarray, lengths: np.ndarray, iteration: int, wall_s: float
    ) -> bool:
        """Record the games of an evaluation [episode]; whether they are the best so far.

        No returns: the games did not end, and there is no score.
        """
        diverged, returns = self.metrics.diverged, returns.astype(float)
        lengths = lengths[: returns.size]
        if diverged:
            returns = np.full(returns.size if self.floor is not None else 0, self.floor, float)
            lengths = lengths[:0]
        with np.errstate(invalid="ignore"):  # infinite returns have no deviation
            mean, std, low, high = (
                [finite(f(returns)) for f in (np.mean, np.std, np.min, np.max)]
                if returns.size
                else [None] * 4
            )
        atari, env_steps = self.config.env.atari, iteration * self.config.ppo.batch_size
        row = EvalRow(
            iteration=iteration,
            env_steps=env_steps,
            frames=env_steps * atari.frame_skip if atari else None,
            gradient_steps=self.metrics.gradient_steps,
            wall_s=round(wall_s, 3),
            policy=self.config.evaluation.policy,
            diverged=diverged,
            episodes=lengths.size,
            return_mean=mean,
            return_std=std,
            return_min=low,
            return_max=high,
            length_mean=float(lengths.mean()) if lengths.size else None,
            returns=returns.tolist(),
            lengths=lengths.tolist(),
        )
        self.directory.append(row)
        self.evaluated_at, self.eval_return = iteration, mean
        improved = mean is not None and not diverged and (self.best is None or mean > self.best)
        if improved:
            self.best = mean
        return improved

    def save(self, state: TrainState, policy: Any | None, iteration: int, wall_s: float) -> None:
        """Write a checkpoint of this member's part of the state.

        Raises:
            CheckpointError: the disk refuses.
        """
        scored = self.evaluated_at == iteration and not self.metrics.diverged
        facts = {name: getattr(self, name) for name in _SAVED}
        checkpoint.save(
            self.directory.checkpoints,
            iteration,
            {STATE: state, POLICY: policy},
            {"member": facts, "metrics": self.metrics.saved(), "wall_s": wall_s},
            config_id(self.config),
            self.eval_return if scored else None,
        )

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: its facts are not those of a run.
        """
        try:
            facts, metrics = saved.facts["member"], saved.facts["metrics"]
            known = {name: facts[name] for name in _SAVED}
            if type(known["evaluated_at"]) is not int or not all(map(_is_score, known.values())):
                raise TypeError("numbers of an evaluation")
            self.metrics.restore(metrics)
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(f"{saved.path}: lacks {error}") from None
        for name, value in known.items():
            setattr(self, name, value)


def _is_score(value: object) -> bool:
    return value is None or type(value) in (int, float)


_SAVED = ("evaluated_at", "eval_return", "best")
