"""Both ways to compute a convolution are the same function of the same parameters."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_eval.ppo.conv import Conv, space_to_depth


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "channels", "tiled"),
    [(84, 8, 4, 4, True), (20, 4, 2, 32, False), (9, 3, 1, 64, False), (10, 3, 1, 6, False)],
)
def test_paths_agree_with_each_other_and_with_flax(size, kernel, stride, channels, tiled):
    x = jax.random.normal(jax.random.key(0), (3, size, size, channels))
    ours = {way: Conv(5, kernel, stride, tiled, as_matmul=way) for way in (True, False)}
    given = space_to_depth(x, stride) if tiled else x
    params = ours[True].init(jax.random.key(1), given)
    params = jax.tree.map(lambda p: p + 0.1, params)
    plain = nn.Conv(5, (kernel, kernel), (stride, stride), padding="VALID")

    def loss(module, given):
        return lambda p: jnp.sum(jnp.sin(module.apply(p, given)))

    expected = plain.apply(params, x)
    gradient = jax.grad(loss(plain, x))(params)
    for module in ours.values():
        np.testing.assert_allclose(module.apply(params, given), expected, rtol=1e-5, atol=1e-4)
        mine = jax.grad(loss(module, given))(params)
        scale = jax.tree.map(lambda g: float(jnp.abs(g).max()), gradient)
        jax.tree.map(
            lambda a, b, s: np.testing.assert_allclose(a / s, b / s, atol=1e-4),
            mine,
            gradient,
            scale,
        )


def test_space_to_depth_moves_each_tile_into_the_channels():
    x = jnp.arange(4 * 4 * 2).reshape(1, 4, 4, 2)
    tiles = space_to_depth(x, 2)
    assert tiles.shape == (1, 2, 2, 8)
    np.testing.assert_array_equal(tiles[0, 1, 0].reshape(2, 2, 2), x[0, 2:, :2])
