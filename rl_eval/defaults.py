"""What a run uses where its user said nothing, by environment family, each with its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from rl_eval.config import NetworkConfig, PPOConfig, PPOHparams, Setting


@dataclasses.dataclass(frozen=True)
class Defaults:
    """`adam` holds the settings that the family's source gives to Adam; AdamW starts from them."""

    total_timesteps: int
    network: NetworkConfig
    ppo: PPOConfig
    hparams: PPOHparams
    adam: Mapping[str, Setting]
    eval_episodes: int = 128


# CleanRL ppo_atari_envpool.py (docs/rl-algorithms/ppo.md): 10M agent steps = 40M frames. Value
# clipping stays off, as in its JAX variants: 430 +- 8 on Breakout against 211 +- 152 with it.
ATARI = Defaults(
    total_timesteps=10_000_000,
    network=NetworkConfig("nature-cnn", (512,), "relu", shared=True),
    ppo=PPOConfig(num_envs=8, num_steps=128, update_epochs=4, num_minibatches=4),
    hparams=PPOHparams(clip_eps=0.1),
    adam=MappingProxyType({"learning_rate": 2.5e-4, "eps": 1e-5, "schedule": "linear"}),
    eval_episodes=32,
)

# PureJaxRL examples/brax_minatar.ipynb; rollout and epochs as in gymnax-blines agents/*/ppo.yaml.
# Both run 10M steps; a tenth of that keeps the first run of a new user under a minute.
MINATAR = Defaults(
    total_timesteps=1_000_000,
    network=NetworkConfig("mlp", (64, 64), "relu"),
    ppo=PPOConfig(num_envs=64, num_steps=128, update_epochs=4, num_minibatches=8),
    hparams=PPOHparams(clip_eps=0.2),
    adam=MappingProxyType({"learning_rate": 5e-3, "eps": 1e-5, "schedule": "linear"}),
)

# PureJaxRL purejaxrl/ppo.py.
CLASSIC = Defaults(
    total_timesteps=500_000,
    network=NetworkConfig("mlp", (64, 64), "tanh"),
    ppo=PPOConfig(num_envs=4, num_steps=128, update_epochs=4, num_minibatches=4),
    hparams=PPOHparams(clip_eps=0.2),
    adam=MappingProxyType({"learning_rate": 2.5e-4, "eps": 1e-5, "schedule": "linear"}),
)

# Small enough that a probe answers in seconds; no entropy bonus, so that the optimum is sharp.
PROBE = Defaults(
    total_timesteps=50_000,
    network=NetworkConfig("mlp", (64, 64), "tanh"),
    ppo=PPOConfig(num_envs=16, num_steps=16, update_epochs=4, num_minibatches=4),
    hparams=PPOHparams(clip_eps=0.2, ent_coef=0.0),
    adam=MappingProxyType({"learning_rate": 2.5e-3, "eps": 1e-5, "schedule": "linear"}),
)

_BY_FAMILY = MappingProxyType(
    {"atari": ATARI, "minatar": MINATAR, "classic": CLASSIC, "probe": PROBE, "other": CLASSIC}
)


def defaults_for(family: str) -> Defaults:
    """Defaults of a family as `rl_eval.envs.registry.describe` names it."""
    return _BY_FAMILY[family]
