"""Actor-critic networks: MLP, MinAtar CNN, Nature CNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from rl_eval.config import NetworkConfig
from rl_eval.ppo.conv import Conv, space_to_depth

Params = Any
Activations = Any
ACTIVATIONS = "activations"  # the flax collection that records what each layer put out


class Network(NamedTuple):
    """A policy and value function.

    prepare: what is computed once an env step and stored in place of the observation.
    apply: (params, prepared) to (logits [batch, action], value [batch]).
    apply_recorded: the same, and every layer's output after its nonlinearity, by layer name.
    """

    init: Callable[[jax.Array], Params]
    prepare: Callable[[Shaped[Array, "batch ..."]], Shaped[Array, "batch ..."]]
    apply: Callable[[Params, Array], tuple[Array, Array]]
    apply_recorded: Callable[[Params, Array], tuple[tuple[Array, Array], Activations]]


def _nonlinearity(name: str) -> Callable[[Array], Array]:
    return jnp.tanh if name == "tanh" else nn.relu


def _record(module: nn.Module, layer: str, x: Array) -> None:
    module.sow(ACTIVATIONS, layer, x, init_fn=lambda: None, reduce_fn=lambda _, new: new)


class Torso(nn.Module):
    """Everything below a head."""

    config: NetworkConfig

    @nn.compact
    def __call__(self, x: Shaped[Array, "batch ..."]) -> Float[Array, "batch feature"]:
        act = _nonlinearity(self.config.activation)
        pixels = x.dtype == jnp.uint8 and self.config.torso != "nature-cnn"  # which scales itself
        x = x.astype(jnp.float32)
        if pixels:
            x = x / 255
        if self.config.torso == "nature-cnn":
            layers = [Conv(32, 8, 4, tiled=True, scale=1 / 255), Conv(64, 4, 2), Conv(64, 3)]
        elif self.config.torso == "minatar-cnn":
            layers = [Conv(16, 3)]
        else:
            layers = []
        for i, conv in enumerate(layers):
            x = nn.relu(conv(x))
            _record(self, f"conv_{i}", x)
        x = x.reshape(x.shape[0], -1)
        for i, size in enumerate(self.config.hidden_sizes):
            x = act(nn.Dense(size, kernel_init=nn.initializers.orthogonal(np.sqrt(2)))(x))
            _record(self, f"dense_{i}", x)
        return x


class Head(nn.Module):
    """A linear read-out."""

    size: int
    gain: float

    @nn.compact
    def __call__(self, x: Float[Array, "batch feature"]) -> Float[Array, "batch out"]:
        x = nn.Dense(self.size, kernel_init=nn.initializers.orthogonal(self.gain))(x)
        _record(self, "dense_0", x)
        return x


class ActorCritic(nn.Module):
    """Separate or shared torsos; gains sqrt(2) below, 0.01 (policy), 1 (value), as in CleanRL."""

    num_actions: int
    config: NetworkConfig

    @nn.compact
    def __call__(self, x: Shaped[Array, "batch ..."]) -> tuple[Array, Array]:
        if self.config.shared:
            actor_features = critic_features = Torso(self.config, name="torso")(x)
        else:
            actor_features = Torso(self.config, name="actor_torso")(x)
            critic_features = Torso(self.config, name="critic_torso")(x)
        logits = Head(self.num_actions, 0.01, name="actor_head")(actor_features)
        value = Head(1, 1.0, name="critic_head")(critic_features)
        return logits, value[:, 0]


def _prepare_frames(obs: Shaped[Array, "batch 84 84 stack"]) -> Shaped[Array, "batch 21 21 depth"]:
    return space_to_depth(obs, 4)


def make_network(
    config: NetworkConfig, observation: jax.ShapeDtypeStruct, num_actions: int
) -> Network:
    """Build the network for one environment's observation.

    Raises:
        ValueError: the torso does not fit the observation.
    """
    rank = {"nature-cnn": 3, "minatar-cnn": 3}.get(config.torso)
    if rank is not None and len(observation.shape) != rank:
        raise ValueError(
            f"network.torso '{config.torso}' needs (height, width, channel) observations, "
            f"got {observation.shape}; use 'mlp'"
        )
    frames = config.torso == "nature-cnn"
    if frames and observation.shape[:2] != (84, 84):
        raise ValueError(f"network.torso 'nature-cnn' needs 84x84 frames, got {observation.shape}")
    module = ActorCritic(num_actions, config)
    prepare = _prepare_frames if frames else lambda obs: obs

    def init(key: jax.Array) -> Params:
        example = jnp.zeros((1, *observation.shape), observation.dtype)
        return module.init(key, prepare(example))["params"]

    def apply(params: Params, prepared: Array) -> tuple[Array, Array]:
        applied: Any = module.apply({"params": params}, prepared)
        logits, value = applied
        return logits, value

    def apply_recorded(params: Params, prepared: Array) -> tuple[tuple[Array, Array], Activations]:
        applied: Any = module.apply({"params": params}, prepared, mutable=[ACTIVATIONS])
        (logits, value), recorded = applied
        return (logits, value), recorded[ACTIVATIONS]

    return Network(init, prepare, apply, apply_recorded)
