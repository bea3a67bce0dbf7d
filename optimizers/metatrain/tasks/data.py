"""Four ten-class sets of 8x8 grey images, made from what installed packages ship.

| set | images | train | test |
|---|---|---|---|
| digits | scikit-learn's handwritten digits | 1,438 | 359 |
| glyphs | ten letters in eleven fonts | 6,000 | 1,000 in six other fonts |
| patches | ten photographs of scikit-image | 6,000 left | 1,000 right quarter |
| shapes | ten procedural figures | 6,000 | 1,000 other draws |
| glyphs-unseen | ten other letters in the six other fonts | 6,000 | 1,000 other draws |

`glyphs-unseen` is for evaluation only. Nothing is downloaded; a set is generated from a fixed
seed on first use (seconds) and cached.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import hashlib
import os
import shutil
import tempfile
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from optimizers.metatrain.tasks import glyphs, patches, shapes

VERSION = 1  # of the recipe: part of every published result, raise it with any change of a pixel

SetName = Literal["digits", "glyphs", "patches", "shapes", "glyphs-unseen"]
Split = Literal["train", "test"]
META_TRAIN_SETS: tuple[SetName, ...] = ("digits", "glyphs", "patches", "shapes")
COUNTS: dict[Split, int] = {"train": 6000, "test": 1000}


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Labelled images: uint8 [num_images, 8, 8] and int32 [num_images]."""

    images: np.ndarray
    labels: np.ndarray

    def digest(self) -> str:
        """sha256 over pixels and labels: the same data or not?"""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()


def cache_dir() -> Path:
    """Where generated sets are kept: `$XDG_CACHE_HOME` or `~/.cache`, then rl_eval/metatrain."""
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home: kept until the process ends
        root = _unkept()
    return root / "rl_eval" / "metatrain"


@functools.cache
def _unkept() -> Path:
    root = tempfile.mkdtemp(prefix="rl_eval-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return Path(root)


@functools.cache
def load(name: str, split: str) -> ImageSet:
    """A set from the cache, or generated and cached. The same arrays on every call.

    Raises:
        ValueError: an unknown name or split.
    """
    if name not in get_args(SetName):
        raise ValueError(f"no data set '{name}'; there are {', '.join(get_args(SetName))}")
    if split not in get_args(Split):
        raise ValueError(f"no split '{split}'; there are {', '.join(get_args(Split))}")
    path = cache_dir() / f"{name}-{split}-v{VERSION}.npz"
    cached = _read(path)
    if cached is not None:
        return cached
    made = generate(name, split)  # type: ignore[arg-type]  # checked above
    _write(path, made)
    return made


def generate(name: SetName, split: Split) -> ImageSet:
    """A set made anew from its seed, without the cache."""
    stream = [VERSION, get_args(SetName).index(name), get_args(Split).index(split)]
    rng = np.random.default_rng(np.random.SeedSequence(stream))
    count = COUNTS[split]
    if name == "digits":
        return _digits(split)
    if name == "patches":
        made = patches.generate(rng, count, "left" if split == "train" else "right")
    elif name == "shapes":
        made = shapes.generate(rng, count)
    elif name == "glyphs":
        fonts = glyphs.FONTS if split == "train" else glyphs.UNSEEN_FONTS
        made = glyphs.generate(rng, count, fonts, glyphs.CHARACTERS)
    else:
        made = glyphs.generate(rng, count, glyphs.UNSEEN_FONTS, glyphs.UNSEEN_CHARACTERS)
    images, labels = made
    return ImageSet(np.round(images * 255).astype(np.uint8), labels)


def _digits(split: Split) -> ImageSet:
    """scikit-learn's digits; every fifth image is for testing (writers follow one another)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    is_test = np.arange(len(digits.target)) % 5 == 4
    chosen = is_test if split == "test" else ~is_test
    images = np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8)
    return ImageSet(images, digits.target[chosen].astype(np.int32))


def _read(path: Path) -> ImageSet | None:
    """The cached set, or None where there is none that is whole."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            made = ImageSet(stored["images"], stored["labels"])
            return made if str(stored["digest"]) == made.digest() else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):  # damaged: make anew
        return None


def _write(path: Path, made: ImageSet) -> None:
    """Cache a set; a cache that cannot be written costs time, nothing else."""
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.part.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, images=made.images, labels=made.labels, digest=made.digest())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
