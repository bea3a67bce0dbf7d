"""From what a user typed to the configuration of a run: defaults, file, --set, flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from optimizers.spec import OptimizerSpec
from rl_eval.config import EvaluationConfig, NetworkConfig, PPOConfig, PPOHparams, RunConfig
from rl_eval.defaults import defaults_for
from rl_eval.envs.protocols import AtariOptions, protocol
from rl_eval.settings import SettingsError, merge, near, parse_assignment, read, read_file
from rl_eval.setup.modules import environment, folder_of
from rl_eval.setup.objects import spec_of
from rl_eval.setup.trust import Trust

LINES_PER_RUN = 200  # metrics lines written unless log_every says otherwise

_SECTIONS: dict[str, Any] = {
    "ppo": PPOConfig,
    "hparams": PPOHparams,
    "network": NetworkConfig,
    "evaluation": EvaluationConfig,
    "env.atari": AtariOptions,
}
_TOP_LEVEL = ("total_timesteps", "log_every", "diverged_score")


def resolve(
    *,
    env: str | None,
    optimizer: str | None,
    flags: Mapping[str, Any],
    assignments: Sequence[str] = (),
    settings: Mapping[str, Any] = MappingProxyType({}),
    file: Path | None = None,
    atari_protocol: str | None = None,
    trust_code: bool = False,
) -> tuple[RunConfig, OptimizerSpec]:
    """The full configuration: flags over settings over the file over the family's defaults.

    Args:
        assignments: `key=value` texts; `settings`: the same as a mapping. A key may leave its
            section out.
        trust_code: import what the file names, though it was not typed.

    Raises:
        SettingsError: anything wrong with what was given, in one line.
    """
    given = _contents(file) if file else {}
    env_id = env or _path(given, "env", "id")
    if env_id is None:
        raise SettingsError("no environment: give --env (`rl-eval envs` lists them)")
    name = optimizer or _path(given, "optimizer", "name") or "adamw"
    if env and env != _path(given, "env", "id") and isinstance(given.get("env"), Mapping):
        given["env"] = {k: v for k, v in given["env"].items() if k not in ("kwargs", "folder")}
    if file is not None:
        _check_trust(given, Trust.of((env, optimizer), trust_code), env_id, name, file)
    described, env_folder = environment(env_id, _path(given, "env", "folder"))
    own = not optimizer or optimizer == _path(given, "optimizer", "name")
    folder = folder_of(name, _path(given, "optimizer", "folder") if own else None)
    spec, family = spec_of(name, folder), described.family
    try:
        atari = protocol(atari_protocol) if atari_protocol else None
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if not own:
        given.pop("optimizer", None)
    values = merge(_base(env_id, family, name, spec), _with_own_rate(given, spec))
    if atari is not None:
        if family != "atari":
            raise SettingsError(f"--protocol is for Atari games; {env_id} is not one")
        values = merge(values, {"env": {"atari": dataclasses.asdict(atari)}})
    for key, value in (*map(parse_assignment, assignments), *settings.items()):
        values = merge(values, _nested(key, value, spec, family))
    values = merge(values, flags)
    values["env"] |= {"id": env_id, "folder": env_folder}
    try:
        resolved = spec.resolve(values["optimizer"]["hyperparameters"])
        values["optimizer"] = {"name": name, "hyperparameters": resolved, "folder": folder}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(str(error)) from None
    config = read(RunConfig, _with_log_every(values), str(file) if file else "configuration")
    try:
        config.ppo.check_minibatches()
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return config, spec


def _check_trust(
    given: Mapping[str, Any], trust: Trust, env_id: Any, optimizer: Any, file: Path
) -> None:
    """Raises SettingsError where names of a file are code that nobody asked for."""
    trust.check_env(str(env_id), _folder(given, "env"), file)
    trust.check_optimizer(str(optimizer), _folder(given, "optimizer"), file)


def _folder(given: Mapping[str, Any], section: str) -> str | None:
    found = _path(given, section, "folder")
    return found if isinstance(found, str) else None


def _contents(file: Path) -> dict[str, Any]:
    """A hand-written configuration, or the config.json of a run."""
    values = read_file(file)
    config = values.get("config")
    return config if "schema" in values and isinstance(config, dict) else values


def _with_own_rate(given: Mapping[str, Any], spec: OptimizerSpec) -> Mapping[str, Any]:
    """`given` with the learning rate under the name that the optimizer has for it."""
    settings = _path(given, "optimizer", "hyperparameters")
    if not isinstance(settings, Mapping):
        return given
    own = {spec.canonical(name): value for name, value in settings.items()}
    return {**given, "optimizer": {**given["optimizer"], "hyperparameters": own}}


def _path(values: Mapping[str, Any], *keys: str) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None  # type: ignore[assignment]
    return values


def _base(env_id: str, family: str, name: str, spec: OptimizerSpec) -> dict[str, Any]:
    defaults = defaults_for(family)
    known = {h.name for h in spec.hyperparameters}
    adam = spec.name in ("adam", "adamw")
    atari = dataclasses.asdict(AtariOptions()) if family == "atari" else None
    return {
        "env": {"id": env_id, "path": "auto", "atari": atari},
        "optimizer": {
            "name": name,
            "hyperparameters": {k: v for k, v in defaults.adam.items() if adam and k in known},
        },
        "total_timesteps": defaults.total_timesteps,
        "network": dataclasses.asdict(defaults.network),
        "ppo": dataclasses.asdict(defaults.ppo),
        "hparams": dataclasses.asdict(defaults.hparams),
        "evaluation": {"episodes": defaults.eval_episodes},
        "seeds": [0],
    }


def _nested(key: str, value: Any, spec: OptimizerSpec, family: str) -> dict[str, Any]:
    """The nested value of one setting, whose key may leave its section out."""
    if key.startswith("env.kwargs."):
        return {"env": {"kwargs": {key.removeprefix("env.kwargs."): value}}}
    places: dict[str, tuple[str, ...]] = {
        f"optimizer.{h.name}": ("optimizer", "hyperparameters", h.name)
        for h in spec.hyperparameters
    }
    for section, kind in _SECTIONS.items():
        if section != "env.atari" or family == "atari":
            for field in dataclasses.fields(kind):
                name = f"{section}.{field.name}"
                places[name] = tuple(name.split("."))
    places |= {name: (name,) for name in _TOP_LEVEL}
    section, _, last = key.rpartition(".")
    if section in ("", "optimizer") and (own := spec.canonical(last)) != last:
        key = f"optimizer.{own}"  # lr for learning_rate, or the other way round
    matches = [p for p in places if p == key or p.rpartition(".")[2] == key]
    if not matches:
        names = list(places) if "." in key else [p.rpartition(".")[2] for p in places]
        raise SettingsError(f"{key}={value}: unknown key {key}; {near(key, names)}")
    if len(matches) > 1 and key not in places:
        raise SettingsError(f"{key}={value}: {key} could be {' or '.join(matches)}; say which")
    nested: Any = value
    for part in reversed(places[key if key in places else matches[0]]):
        nested = {part: nested}
    return nested


def _with_log_every(values: dict[str, Any]) -> dict[str, Any]:
    """About LINES_PER_RUN lines unless stated; wrong types are left for the reader to refuse."""
    if "log_every" in values:
        return values
    ppo, total = values["ppo"], values["total_timesteps"]
    try:
        iterations = int(total) // (int(ppo["num_envs"]) * int(ppo["num_steps"]))
    except (TypeError, ValueError, KeyError, ZeroDivisionError, OverflowError):
        return values
    return {**values, "log_every": max(1, iterations // LINES_PER_RUN)}
