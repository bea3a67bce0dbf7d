"""Where the meta-training of VeLO-s begins: a theta built to descend, not drawn at random.

VeLO's step is a learned step size times the output of the mean of many banks of weights. Drawn at
random that product hardly moves the parameters, and evolution strategies see nothing.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from optimizers.weights import Theta, initial

STEP_SIZE = 10.0  # thousandths of the RMS of a tensor's parameters
BANKS = 32
_PASSED = {"w0__5": 0, "w0__8": 0}  # slab and row: m_s of decay 0.9, and g_s
_SHARE = 0.7  # of each in the direction


def start(key: Key[Array, ""]) -> Theta:
    """Momentum at a fixed relative step size, with everything else still to be found.

    Every bank's network passes the sum of the gradient and its momentum (decay 0.9), both over the
    root of the second moment, through as direction: the positive part by the first of its four
    units, the negative by the second. The two other units are random and bear on nothing yet. All
    banks count alike but for what a random LSTM adds, and the step size is `STEP_SIZE`.
    """
    theta = initial("velo-s", key, P=BANKS)
    # Independent banks average out: each is drawn wider, so that their mean is not.
    wide = jax.tree.map(lambda w: w * math.sqrt(BANKS), theta["ff_mod_stack"]["~"])
    first = {"w0", "w1"}
    banks = {name: w.at[:, :, :2].set(0) if name[:2] in first else w for name, w in wide.items()}
    signs = jnp.array([1.0, -1.0])
    for slab, row in _PASSED.items():
        banks[slab] = banks[slab].at[:, row, :2].set(_SHARE * signs)
    banks["w1"] = banks["w1"].at[:, :, :2].set(jnp.eye(4, 2))
    banks["w2"] = jnp.zeros_like(banks["w2"]).at[:, :2, 0].set(signs)
    heads = theta["rnn_params"]
    controls = heads["rnn_to_controls"] | {"b": jnp.ones(BANKS)}
    step_size = {"w": jnp.zeros_like(heads["step_size"]["w"]), "b": jnp.full(1, STEP_SIZE)}
    return theta | {
        "ff_mod_stack": {"~": banks},
        "rnn_params": heads | {"rnn_to_controls": controls, "step_size": step_size},
    }


def units(theta: Theta) -> Any:
    """A step of the mean of the banks is one of theta; what is read from the LSTM moves faster
    than its random inner weights; the step size is perturbed in proportion to itself.
    """
    tree = jax.tree.map(lambda x: 0.3, theta)
    ones = {"w": 1.0, "b": 1.0}
    heads = {"rnn_to_controls": ones, "step_size": ones | {"b": 0.3 * STEP_SIZE}}
    banks = jax.tree.map(lambda x: math.sqrt(BANKS), theta["ff_mod_stack"])
    return tree | {"ff_mod_stack": banks, "rnn_params": tree["rnn_params"] | heads}
