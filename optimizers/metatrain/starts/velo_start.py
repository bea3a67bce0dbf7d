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

from optimizers.metatrain.starts.passing import pass_through
from optimizers.weights import Theta, initial

BANKS = 32
STEP_SIZE = 20.0  # at the first step, in thousandths of the RMS of a tensor's parameters
LAST_SHARE = 0.05  # of the step size, at the last step
PASSED = {"w0__5": (0.7,), "w0__8": (0.7,), "w0__2": (0.1,)}  # m_s of decay 0.9, g_s, and p

_CLOCK = 0  # the LSTM's unit that tells the time
_SHARES = (0.065, 0.085, 0.15, 0.2, 0.2, 0.15, 0.1, 0.05)  # of the run, around each time feature


def start(key: Key[Array, ""]) -> Theta:
    """Momentum and weight decay with a step size that falls linearly over the run.

    Every bank's network passes the same sum through as direction, its positive part by the first of
    four units and its negative part by the second: the gradient, its momentum (both over the root
    of the second moment) and a little of the parameters, each of RMS 1 before. One unit of the LSTM
    tells the time; the step size reads it alone. All else is random and bears on the step only by
    what the LSTM adds to the controls of the banks, which are 1.
    """
    theta = initial("velo-s", key, P=BANKS)
    heads = theta["rnn_params"]
    layers = _with_clock(heads)
    controls = heads["rnn_to_controls"]["w"].at[_CLOCK].set(0)
    layers["rnn_to_controls"] = {"w": controls, "b": jnp.ones(BANKS)}
    fall = jnp.zeros_like(heads["step_size"]["w"]).at[_CLOCK].set((LAST_SHARE - 1) / _clock(1.0))
    layers["step_size"] = {"w": STEP_SIZE * fall, "b": jnp.full(1, STEP_SIZE)}
    # independent banks average out: wider ones, so that something is left of what is random
    banks = {name: w * math.sqrt(BANKS) for name, w in theta["ff_mod_stack"]["~"].items()}
    banks = pass_through(banks, PASSED)
    return theta | {"ff_mod_stack": {"~": banks}, "rnn_params": layers}


def units(theta: Theta) -> Any:
    """A step of the mean of the banks is one of theta; what is read from the LSTM moves faster
    than its random inner weights; the step size is perturbed in proportion to itself.
    """
    tree = jax.tree.map(lambda x: 0.3, theta)
    ones = {"w": 1.0, "b": 1.0}
    heads = {"rnn_to_controls": ones, "step_size": ones | {"b": 0.3 * STEP_SIZE}}
    banks = jax.tree.map(lambda x: math.sqrt(BANKS), theta["ff_mod_stack"])
    return tree | {"ff_mod_stack": banks, "rnn_params": tree["rnn_params"] | heads}


def _with_clock(layers: Theta) -> Theta:
    """The LSTM's layers, one unit of which is `_clock` of the share of the run that is over."""
    H = layers["linear_2"]["b"].size
    mixing, silent, lstm = (dict(layers[name]) for name in ("linear_2", "linear_1", "rnn/linear"))
    half = jnp.array(_SHARES) / 2  # of 1 + tanh, the time features' soft steps
    mixing["w"] = mixing["w"].at[:, _CLOCK].set(0).at[: len(half), _CLOCK].set(half)
    mixing["b"] = mixing["b"].at[_CLOCK].set(half.sum())
    silent["w"] = silent["w"].at[:, _CLOCK].set(0)
    gates = _CLOCK + H * jnp.arange(4)  # write, new, forget, read
    lstm["w"] = lstm["w"].at[:, gates].set(0).at[_CLOCK, gates[1]].set(0.5)
    lstm["b"] = lstm["b"].at[gates].set(jnp.array([10.0, 0.0, -10.0, 10.0]))  # pass, forget all
    return layers | {"linear_1": silent, "linear_2": mixing, "rnn/linear": lstm}


def _clock(share: float) -> float:
    """What the LSTM's clock shows: tanh of tanh of half the share, 0.43 at the end."""
    return math.tanh(math.tanh(0.5 * share))


def with_decay(theta: Theta, added: float) -> Theta:
    """Theta whose direction holds `added` more of the parameters, of RMS 1, in every bank.

    Unrolls are shorter than the runs a theta is used for: meta-training gives up decay that only
    longer runs need.
    """
    banks = dict(theta["ff_mod_stack"]["~"])
    more = added * jnp.array([1.0, -1.0])
    banks["w0__2"] = jnp.asarray(banks["w0__2"]).at[:, 0, :2].add(more)
    return theta | {"ff_mod_stack": {"~": banks}}
