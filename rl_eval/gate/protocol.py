"""What the tiers that train are made of, and what a run of each environment is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from rl_eval.config import RunConfig, to_dict
from rl_eval.envs.probes import PROBES
from rl_eval.envs.scores import min_max_normalised, reference
from rl_eval.envs.suites import budget, suite

PROBE_STEPS = 25_600  # 1600 gradient steps by default
CONTROL_STEPS = 102_400
# AdamW's mean score on CartPole, six seeds: 0.76 like this, 0.60 with PPO's defaults.
FASTER = ("ppo.num_envs=16", "ppo.num_steps=64", "ppo.update_epochs=10")
GAME_STEPS = 65_536
PROBE_SEEDS = 12
PROBE_MARGIN = 0.5  # of tasks without a right answer: whether it still learns is the question here
RESUMED = "CartPole-v1"  # whose first seed is stopped half way and gone on with once more
LEARNED = 0.9  # score of a probe: the optimum is 1, an untrained learner's 0
DEFAULT_SUITE = "minatar-4"

# Where nothing depends on actions, the value tells what was learned; targets are about 1 in size.
_BY_VALUE = frozenset({"probe/constant", "probe/observation", "probe/two-step"})


class Task(NamedTuple):
    """One environment of a tier.

    total_timesteps: None for the default of its family.
    settings: key=value, where PPO's defaults would not do.
    """

    env: str
    total_timesteps: int | None
    settings: tuple[str, ...] = ()


def probes() -> tuple[Task, ...]:
    """The second tier, cheapest first."""
    control = (
        Task("CartPole-v1", CONTROL_STEPS, FASTER),
        Task("Breakout-MinAtar", GAME_STEPS),
    )
    return (*(Task(env, PROBE_STEPS) for env in PROBES), *control)


def benchmark(name: str) -> tuple[Task, ...]:
    """The third tier on a suite, or on a comma-separated list of environments.

    Raises:
        ValueError: no such suite or environment, or one without published scores.
    """
    envs = suite(name)
    for env in envs:
        min_max_normalised(env, 0.0)
    return tuple(Task(env, budget(name, env)) for env in envs)


def is_probe(env_id: str) -> bool:
    """Whether an environment is judged by its level, not by the difference of two samples."""
    return env_id in PROBES


def score(env_id: str, episode_return: float, value_loss: float | None) -> float:
    """What a finished run is worth: 0 is an untrained policy, 1 the reference.

    Of a probe without choices: one minus its value error against that of predicting zero.
    """
    if env_id in _BY_VALUE:
        return 0.0 if value_loss is None else float(np.clip(1 - 2 * value_loss, 0.0, 1.0))
    return episode_return if is_probe(env_id) else float(min_max_normalised(env_id, episode_return))


def scale(env_id: str) -> tuple[float, float]:
    """The returns that count as 0 and as 1."""
    if is_probe(env_id):
        return 0.0, 1.0
    low, high = reference(env_id)
    assert high is not None  # `benchmark` refuses such environments
    return low, high


def first_difference(ours: RunConfig, theirs: RunConfig, keys: Sequence[str]) -> str | None:
    """The first of these keys, whole or their last part, in which two configurations differ.

    The optimizer, seeds and how often is logged do not count.
    """
    left, right = (_flat(to_dict(config)) for config in (ours, theirs))
    for key in {**left, **right}:
        asked = any(f".{key}".endswith(f".{name}") for name in keys)
        if asked and left.get(key) != right.get(key):
            return f"{key} is {right.get(key)} in the baseline and {left.get(key)} here"
    return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if prefix + key in ("optimizer", "seeds", "log_every", "env.folder"):
            continue
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return MappingProxyType(found)
