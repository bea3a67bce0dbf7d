"""Convolutions as matrix products, for the backend where XLA's own are slow.

XLA's CPU convolution inside `lax.scan` took 12,700 ms for one gradient of the Nature CNN on 256
frames; gathering patches and one product takes about 150 ms on the same two cores. Both paths
share their parameters and agree to rounding.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

FEW_TAPS = 4  # up to here a product a tap beats one product over patches gathered in memory


def space_to_depth(
    x: Shaped[Array, "... height width channel"], block: int
) -> Shaped[Array, "... rows cols depth"]:
    """Move each `block` x `block` tile into the channel axis.

    A convolution with stride `block`, whose kernel is a multiple of it, becomes one with stride 1.
    """
    *lead, height, width, channel = x.shape
    tiles = x.reshape(*lead, height // block, block, width // block, block, channel)
    tiles = jnp.swapaxes(tiles, -4, -3)
    return tiles.reshape(*lead, height // block, width // block, block * block * channel)


def conv_valid(
    x: Float[Array, "batch height width in"],
    kernel: Float[Array, "kh kw in out"],
    as_matmul: bool,
) -> Float[Array, "batch height2 width2 out"]:
    """Stride-1 convolution without padding."""
    if not as_matmul:
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    kh, kw, _, out = kernel.shape
    height, width = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    taps = [(i, j) for i in range(kh) for j in range(kw)]
    shifted = [x[:, i : i + height, j : j + width] for i, j in taps]
    if len(taps) <= FEW_TAPS:
        products = [_product(s, kernel[tap]) for s, tap in zip(shifted, taps, strict=True)]
        return functools.reduce(jnp.add, products)
    return _product(jnp.concatenate(shifted, axis=-1), kernel.reshape(-1, out))


def _product(x: Float[Array, "... in"], w: Float[Array, "in out"]) -> Float[Array, "... out"]:
    """One matrix product; XLA's CPU backend is slower where the rows keep their axes."""
    return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])


class Conv(nn.Module):
    """Unpadded convolution whose stride divides its kernel size.

    `tiled` says that the input already went through `space_to_depth(x, stride)`. The kernel is
    stored as (height, width, in, out) whichever way it is computed. `as_matmul=None`: on CPU.
    `scale` multiplies the kernel, which is smaller than an image to be scaled.
    """

    features: int
    kernel_size: int
    stride: int = 1
    tiled: bool = False
    scale: float = 1.0
    as_matmul: bool | None = None
    kernel_init: nn.initializers.Initializer = nn.initializers.orthogonal(2**0.5)

    @nn.compact
    def __call__(self, x: Float[Array, ...]) -> Float[Array, ...]:
        block, size = self.stride, self.kernel_size // self.stride
        if not self.tiled and block > 1:
            x = space_to_depth(x, block)
        channels = x.shape[-1] // block**2
        shape = (self.kernel_size, self.kernel_size, channels, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        tiles = kernel.reshape(size, block, size, block, channels, self.features)
        tiles = jnp.swapaxes(tiles, 1, 2).reshape(size, size, -1, self.features) * self.scale
        as_matmul = jax.default_backend() == "cpu" if self.as_matmul is None else self.as_matmul
        return conv_valid(x, tiles, as_matmul) + bias
