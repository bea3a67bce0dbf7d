"""An optimizer in front of the gate: how it is built, and what its code and weights are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from optimizers import registry, weights
from optimizers.spec import OptimizerSpec
from rl_eval.gate.baseline import Release
from rl_eval.records.provenance import provenance
from rl_eval.settings import SettingsError, parse_assignment
from sweeps.execution.places import asked, gpus
from sweeps.gate.built import dependencies


@dataclasses.dataclass(frozen=True)
class Contender:
    """A spec, the release that it is, and why what it was built from may not be known in full."""

    spec: OptimizerSpec
    release: Release
    doubts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.release.optimizer

    @property
    def fingerprint(self) -> str:
        """Equal for equal code, weights, settings and versions: their runs are kept together."""
        who = self.release
        facts = (self.name, who.code, who.weights, who.settings, who.versions)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


def contender(name: str, settings: Mapping[str, Any]) -> Contender:
    """The optimizer of that name, or at `module:attribute`, with some settings.

    Raises:
        SettingsError: there is none, or it does not have such settings.
        WeightsError: its weights cannot be had.
        BuildFailedError: it is there, but cannot be built.
    """
    try:
        spec = registry.get(name)
        resolved = spec.resolve(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    used = None
    if "weights" in resolved and spec.name in weights.TEMPLATES:
        used = dataclasses.asdict(weights.resolve(resolved["weights"], spec.name)[1])
    here = provenance()
    if gpus():  # which this process keeps off
        here["devices"] = list(asked())
    built = dependencies(name, settings)
    release = Release(
        optimizer=name,
        settings=dict(settings),
        code=built.digest,
        weights=used,
        versions={**here["versions"], **built.versions},
        hardware={key: here[key] for key in ("platform", "cpu", "cpu_count", "devices")},
        git=here["git"],
        dependencies=built.parts,
    )
    return Contender(spec, release, built.doubts)


def own_settings(name: str, assignments: Sequence[str]) -> dict[str, Any]:
    """Those of `--set key=value` that are hyperparameters of the optimizer.

    Raises:
        SettingsError: no such optimizer, or not key=value.
    """
    try:
        spec = registry.get(name)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    known = {h.name for h in spec.hyperparameters}
    pairs = [parse_assignment(text) for text in assignments]
    short = [(spec.canonical(key.removeprefix("optimizer.")), value) for key, value in pairs]
    return {key: value for key, value in short if key in known}


def inherited(name: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A baseline's settings that the optimizer has too, and the names of those it lacks."""
    spec = registry.get(name)
    known = {h.name for h in spec.hyperparameters}
    lacking = [key for key in settings if spec.canonical(key) not in known]
    own = {spec.canonical(key): value for key, value in settings.items() if key not in lacking}
    return own, lacking


def build(num_steps: int, *, name: str, settings: Mapping[str, Any]) -> Any:
    """The optimizer of that name, for processes that know no more of it."""
    return registry.get(name).build(num_steps, **settings)
