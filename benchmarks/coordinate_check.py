"""Outputs of every layer against width, with and without muP, after five steps of Adam.

python benchmarks/coordinate_check.py docs
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

from rl_eval.config import NetworkConfig
from rl_eval.ppo.mup import coordinate_check, parametrise
from rl_eval.ppo.networks import Network, make_network
from rl_eval.report.coordinates import render

WIDTHS = (64, 128, 256, 512, 1024)
BATCH, FEATURES, ACTIONS, RATE = 32, 6, 3, 1e-2
Made = tuple[Network, optax.GradientTransformationExtraArgs]


def network(width: int) -> Network:
    """A PPO network with two layers of `width` units."""
    config = NetworkConfig(hidden_sizes=(width, width), activation="relu", shared=True)
    return make_network(config, jax.ShapeDtypeStruct((FEATURES,), jnp.float32), ACTIONS)


def standard(width: int) -> Made:
    """As PPO trains it."""
    return network(width), optax.with_extra_args_support(optax.adam(RATE))


def mup(width: int) -> Made:
    """Relative to the narrowest."""
    made = parametrise(network(width), network(WIDTHS[0]))
    scale = optax.stateless(
        lambda updates, _: jax.tree.map(jnp.multiply, updates, made.multipliers)
    )
    rule = optax.chain(optax.scale_by_adam(), scale, optax.scale(-RATE))
    return made.network, optax.with_extra_args_support(rule)


if __name__ == "__main__":
    keys = jax.random.split(jax.random.key(0), 3)
    obs = jax.random.normal(keys[0], (BATCH, FEATURES))
    action = jax.random.randint(keys[1], (BATCH,), 0, ACTIONS)
    target = jax.random.normal(keys[2], (BATCH,))
    panels = {
        title: coordinate_check(make, WIDTHS, obs, action, target)
        for title, make in (("standard", standard), ("muP", mup))
    }
    for path in render(panels, WIDTHS, Path(sys.argv[1])):
        print(path)
