"""Pictures of bytes reach a network as numbers of the size that it can learn from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.config import NetworkConfig
from rl_eval.ppo.networks import make_network


@pytest.mark.parametrize("torso", ["mlp", "minatar-cnn"])
def test_bytes_count_as_the_fractions_that_they_stand_for(torso):
    config = NetworkConfig(torso, (8,))
    picture = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    bytes_, numbers = (
        make_network(config, jax.ShapeDtypeStruct((6, 6, 3), dtype), 2)
        for dtype in (jnp.uint8, jnp.float32)
    )
    params = bytes_.init(jax.random.key(0))
    found = bytes_.apply(params, jnp.asarray(picture))
    expected = numbers.apply(params, jnp.asarray(picture / 255, jnp.float32))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)


def test_flags_and_numbers_are_taken_as_they_are():
    network = make_network(NetworkConfig("mlp", (8,)), jax.ShapeDtypeStruct((), jnp.float32), 1)
    params = network.init(jax.random.key(0))
    logits, value = network.apply(params, jnp.full(5, 3.0))
    assert (logits.shape, value.shape) == ((5, 1), (5,))
    assert value[0] != network.apply(params, jnp.full(5, 3.0 / 255))[1][0]
