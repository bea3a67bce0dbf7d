"""Patches of ten photographs that scikit-image ships: which photograph is a patch from?"""

from __future__ import annotations

from typing import Literal

import numpy as np

# Only files inside the scikit-image package: none of these is ever downloaded.
PHOTOGRAPHS = (
    "brick",
    "gravel",
    "coins",
    "page",
    "moon",
    "coffee",
    "immunohistochemistry",
    "clock",
    "text",
    "cell",
)
SPAN = 16  # side of the square that one 8x8 patch averages, in photograph pixels
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def photograph(name: str) -> np.ndarray:
    """A photograph in grey, float32 [height, width] in [0, 1]."""
    import skimage.data

    pixels = getattr(skimage.data, name)().astype(np.float32) / 255
    return pixels @ LUMA if pixels.ndim == 3 else pixels


def regions(side: Literal["left", "right"]) -> list[np.ndarray]:
    """The left three quarters of every photograph, or the right quarter: no pixel is in both."""
    cut = [(pixels, pixels.shape[1] * 3 // 4) for pixels in map(photograph, PHOTOGRAPHS)]
    return [x[:, :at] if side == "left" else x[:, at:] for x, at in cut]


def generate(
    rng: np.random.Generator, count: int, side: Literal["left", "right"]
) -> tuple[np.ndarray, np.ndarray]:
    """`count` patches of one side of the photographs and which photograph each is from.

    Each patch is mirrored at random and its contrast and brightness
    jittered, so that brightness alone does not tell the photograph. Returns float32 [count, 8, 8]
    in [0, 1] and int32 [count].
    """
    sources = regions(side)
    labels = rng.integers(len(sources), size=count).astype(np.int32)
    corners = rng.uniform(size=(count, 2))
    patches = np.empty((count, 8, 8), np.float32)
    for i, (label, corner) in enumerate(zip(labels, corners, strict=True)):
        region = sources[label]
        row, column = (corner * (np.array(region.shape) - SPAN + 1)).astype(int)
        square = region[row : row + SPAN, column : column + SPAN]
        patches[i] = square.reshape(8, 2, 8, 2).mean((1, 3))
    mirrored = rng.random(count) < 0.5
    patches[mirrored] = patches[mirrored, :, ::-1]
    gain, offset = rng.uniform(0.8, 1.2, (count, 1, 1)), rng.uniform(-0.05, 0.05, (count, 1, 1))
    mean = patches.mean((1, 2), keepdims=True)
    return np.clip((patches - mean) * gain + mean + offset, 0, 1).astype(np.float32), labels
