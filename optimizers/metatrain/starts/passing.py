"""Networks built by hand that pass a sum of their inputs through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from optimizers.weights import Theta


def pass_through(network: Theta, passed: Mapping[str, Sequence[float]]) -> Theta:
    """A per-parameter network whose first output is a sum of its inputs, exactly.

    Two relu units of each layer carry it, one its positive part and one its negative part. The
    other units stay as they are; nothing reads them.

    Args:
        network: `w0__i` [..., channels, units], `w1` [..., units, units], `w2`
            [..., units, outputs] and biases, which stay and should be 0.
        passed: the first channels' weights in the sum, by the name of their `w0__i`.
    """
    signs = jnp.array([1.0, -1.0])
    built = dict(network)
    for name in built:
        if name.startswith("w0"):
            weights = passed.get(name, ())
            sums = jnp.zeros(built[name].shape[-2]).at[: len(weights)].set(jnp.array(weights))
            built[name] = built[name].at[..., :2].set(jnp.outer(sums, signs))
    units = built["w1"].shape[-1]
    built["w1"] = built["w1"].at[..., :2].set(jnp.eye(units, 2))
    built["w2"] = jnp.zeros_like(built["w2"]).at[..., :2, 0].set(signs)
    return built
