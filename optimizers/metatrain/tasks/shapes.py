"""Procedural figures: ten shapes of random place, size, angle and contrast under noise."""

from __future__ import annotations

import numpy as np

SUPERSAMPLE = 4


def _figures(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Ten figures in the unit frame: where each has ink, as booleans of the shape of x and y."""
    radius, box = np.hypot(x, y), np.maximum(abs(x), abs(y))
    frame = box < 1
    return [
        radius < 0.9,
        (radius < 1) & (radius > 0.55),
        box < 0.8,
        frame & (box > 0.5),
        (y < 0.8) & (y > 2 * abs(x) - 0.9),
        frame & (np.minimum(abs(x), abs(y)) < 0.25),
        frame & (abs(abs(x) - abs(y)) < 0.3),
        frame & (np.mod(1.5 * y, 1) < 0.5),
        frame & ((np.mod(1.25 * x, 1) < 0.5) ^ (np.mod(1.25 * y, 1) < 0.5)),
        (radius < 1) & ((x > 0) ^ (y > 0)),
    ]


def generate(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` noisy figures and which of the ten each is.

    Half-side 2.2-3.8 pixels, shift up to 1 pixel, rotation up to 0.4 rad, ink and ground differ by
    0.4-1, ink may be the darker one, noise of standard deviation 0.1. Returns float32
    [count, 8, 8] in [0, 1] and int32 [count].
    """
    labels = rng.integers(10, size=count).astype(np.int32)
    half_side = rng.uniform(2.2, 3.8, (count, 1, 1))
    shift, angle = rng.uniform(-1, 1, (2, count, 1, 1)), rng.uniform(-0.4, 0.4, (count, 1, 1))
    side = 8 * SUPERSAMPLE
    axis = (np.arange(side) + 0.5) / SUPERSAMPLE - 4
    row, column = np.meshgrid(axis, axis, indexing="ij")
    dy, dx = (row - shift[0]) / half_side, (column - shift[1]) / half_side
    x, y = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    ink = np.empty((count, side, side), bool)
    for label, figure in enumerate(_figures(x, y)):
        ink[labels == label] = figure[labels == label]
    cover = ink.reshape(count, 8, SUPERSAMPLE, 8, SUPERSAMPLE).mean((2, 4))

    contrast = rng.uniform(0.4, 1.0, (count, 1, 1))
    ground = rng.uniform(0, 1 - contrast)
    dark_ink = rng.random((count, 1, 1)) < 0.5
    pixels = ground + contrast * np.where(dark_ink, 1 - cover, cover)
    noise = rng.normal(0, 0.1, pixels.shape)
    return np.clip(pixels + noise, 0, 1).astype(np.float32), labels
