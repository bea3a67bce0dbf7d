"""One way from a configuration to the optimizer that a learner is given."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from jaxtyping import Array

from optimizers.spec import OptimizerSpec
from optimizers.weights import Provenance
from rl_eval.config import RunConfig
from rl_eval.ppo.learner import Optimizer
from rl_eval.settings import SettingsError
from rl_eval.setup.modules import found_again
from rl_eval.setup.objects import spec_of
from rl_eval.setup.weights import with_weights


class Prepared(NamedTuple):
    """A configuration whose weights are pinned, and its optimizer; `weights`: where from."""

    config: RunConfig
    optimizer: Optimizer
    weights: Provenance | None

    @property
    def facts(self) -> dict[str, Any]:
        """The part of a run's record that is known of the weights."""
        return {"weights": self.weights and dataclasses.asdict(self.weights)}


def prepare(config: RunConfig, recorded: Any = None) -> Prepared:
    """The optimizer of `config`, with the weights of `recorded`, an earlier run's, if they bind.

    `recorded`: provenance of weights as a record holds it; see `setup.weights`.

    Raises:
        SettingsError: no such optimizer, or not such hyperparameters.
        WeightsError: its weights cannot be had, or are not those on record.
    """
    found_again(config)
    spec = spec_of(config.optimizer.name, config.optimizer.folder)
    pinned, used = with_weights(config, spec, recorded)
    try:
        # For the learner alone: a configuration's id is that of the values as they were read.
        settings = spec.resolve(pinned.optimizer.hyperparameters)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return Prepared(pinned, learners(spec, settings), used)


def learners(spec: OptimizerSpec, settings: dict[str, Any]) -> Optimizer:
    """The learner's view of a spec whose static settings are fixed, the others traced."""
    static, traced = spec.split(settings)

    def make(num_steps: int, numbers: dict[str, Array], skipped_steps: Any = 0) -> Any:
        return spec.build(num_steps, skipped_steps, **static, **numbers)

    needs = frozenset(spec.needs)
    return Optimizer(make, needs, spec.eval_params, traced, spec.follows_run)
