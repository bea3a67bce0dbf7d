"""Rendered letters: the outlines of matplotlib's fonts under random affine jitter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CANVAS = 64  # side of a rendered letter before it is sampled down to the 8x8 grid
SUPERSAMPLE = 4  # samples per output pixel and axis

CHARACTERS = "AEGHKMRSTX"
UNSEEN_CHARACTERS = "BDFJLNPQUV"
FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-Italic.ttf",
    "cmr10.ttf",
    "cmb10.ttf",
    "cmti10.ttf",
)
UNSEEN_FONTS = (
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
    "STIXGeneralItalic.ttf",
    "STIXGeneralBolIta.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
)


def render(font_file: str, character: str) -> np.ndarray:
    """One letter, centred, its longer side filling two thirds of the canvas. float32 [64, 64].

    Raises:
        FileNotFoundError: the installed matplotlib does not ship the font.
    """
    import matplotlib
    from matplotlib.ft2font import FT2Font, LoadFlags

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / font_file
    if not path.is_file():
        raise FileNotFoundError(
            f"matplotlib {matplotlib.__version__} does not ship {font_file}, which the 'glyphs' "
            "data are drawn with; install matplotlib 3.10 or 3.11"
        )
    font = FT2Font(str(path))
    font.set_size(CANVAS * 2 / 3, 100)  # cap height below the canvas for every font used
    font.set_text(character, 0.0, flags=LoadFlags.NO_HINTING)
    font.draw_glyphs_to_bitmap(antialiased=True)
    ink = np.asarray(font.get_image(), np.float32) / 255
    rows, columns = np.nonzero(ink.max(1))[0], np.nonzero(ink.max(0))[0]
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _fit(ink)


def _fit(ink: np.ndarray) -> np.ndarray:
    """`ink` scaled (nearest neighbour) and centred on the canvas."""
    scale = max(ink.shape) / (CANVAS * 2 / 3)
    grid = (np.arange(CANVAS) + 0.5 - CANVAS / 2) * scale
    row = np.floor(grid + ink.shape[0] / 2).astype(int)
    column = np.floor(grid + ink.shape[1] / 2).astype(int)
    padded = np.pad(ink, 1)
    return padded[
        np.clip(row + 1, 0, ink.shape[0] + 1)[:, None],
        np.clip(column + 1, 0, ink.shape[1] + 1)[None, :],
    ]


def generate(
    rng: np.random.Generator, count: int, fonts: tuple[str, ...], characters: str
) -> tuple[np.ndarray, np.ndarray]:
    """`count` jittered letters and their index in `characters`.

    Rotation up to 0.25 rad, shear up to 0.2, scale 0.8-1.25 per axis, shift up to one output
    pixel, contrast 0.6-1. Returns float32 [count, 8, 8] in [0, 1] and int32 [count].
    """
    stencils = np.stack([[render(f, c) for c in characters] for f in fonts])
    labels = rng.integers(len(characters), size=count).astype(np.int32)
    chosen = stencils[rng.integers(len(fonts), size=count), labels]
    angle, shear = rng.uniform(-0.25, 0.25, count), rng.uniform(-0.2, 0.2, count)
    scale = np.exp(rng.uniform(np.log(0.8), np.log(1.25), (count, 2)))
    shift = rng.uniform(-CANVAS / 8, CANVAS / 8, (count, 2))
    contrast = rng.uniform(0.6, 1.0, count)

    side = 8 * SUPERSAMPLE
    axis = (np.arange(side) + 0.5) * (CANVAS / side) - CANVAS / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    source_x = (cos * x + sin * y + shear[:, None, None] * y) * scale[:, 0, None, None]
    source_y = (cos * y - sin * x) * scale[:, 1, None, None]
    column = np.floor(source_x + shift[:, 0, None, None] + CANVAS / 2).astype(int)
    row = np.floor(source_y + shift[:, 1, None, None] + CANVAS / 2).astype(int)
    inside = (row >= 0) & (row < CANVAS) & (column >= 0) & (column < CANVAS)
    which = np.arange(count)[:, None, None]
    drawn = chosen[which, np.clip(row, 0, CANVAS - 1), np.clip(column, 0, CANVAS - 1)] * inside
    pixels = drawn.reshape(count, 8, SUPERSAMPLE, 8, SUPERSAMPLE).mean((2, 4))
    return (pixels * contrast[:, None, None]).astype(np.float32), labels
