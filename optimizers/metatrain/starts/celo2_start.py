"""Where the meta-training of the shipped celo2-base began: a theta built to descend.

Drawn at random a theta ascends, and what meta-training makes of it depends on the draw.
"""

from __future__ import annotations

from jaxtyping import Array, Key

from optimizers.metatrain.starts.passing import pass_through
from optimizers.weights import Theta, initial

# The gradient over its factored second moment, and momentum over the second moment: Nesterov's sum
PASSED = {"w0__7": (0.0, 0.0, 3.0), "w0__5": (1.0, 1.0)}  # decay 0.999; decays 0.9 and 0.99


def start(key: Key[Array, ""]) -> Theta:
    """Adam with Nesterov's momentum, each tensor's update of RMS 1; the other units random.

    A vector has no factored second moment of two axes, its own stands in. `celo2-base-start` ships,
    from key 0.
    """
    network = pass_through(initial("celo2-base", key)["ff_mod_stack"]["~"], PASSED)
    network["w1"] = network["w1"].at[:2, 2:].set(0)  # what is passed stays out of the other units
    return {"ff_mod_stack": {"~": network}}
