"""The image sets: the same on every machine visit, split cleanly, learnable."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from optimizers.metatrain.tasks import data, glyphs, patches

NAMES = get_args(data.SetName)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache folder for this file's tests, away from the user's."""
    root = tmp_path_factory.getbasetemp() / "metatrain-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(root))
    data.load.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_a_set_is_ten_classes_of_8x8_images_with_no_test_image_in_training(
    name: data.SetName,
) -> None:
    sets = {split: data.load(name, split) for split in get_args(data.Split)}
    for images in sets.values():
        assert images.images.shape == (len(images.labels), 8, 8)
        assert images.images.dtype == np.uint8
        shares = np.bincount(images.labels, minlength=10) / len(images.labels)
        assert shares.shape == (10,)
        assert shares.min() > 0.05
        assert images.images.std() > 25  # neither blank nor washed out
    seen = {image.tobytes() for image in sets["train"].images}
    assert not any(image.tobytes() in seen for image in sets["test"].images)


@pytest.mark.parametrize("name", NAMES)
def test_generating_again_gives_the_cached_pixels(name: data.SetName) -> None:
    assert data.generate(name, "test").digest() == data.load(name, "test").digest()


def test_a_damaged_cache_is_made_again() -> None:
    good = data.load("shapes", "test").digest()
    path = data.cache_dir() / f"shapes-test-v{data.VERSION}.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    data.load.cache_clear()
    assert data.load("shapes", "test").digest() == good
    assert path.read_bytes() != bytes(content)


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert data.load("digits", "test").images.shape[1:] == (8, 8)


def test_held_out_fonts_and_letters_are_not_trained_on() -> None:
    assert not set(glyphs.FONTS) & set(glyphs.UNSEEN_FONTS)
    assert not set(glyphs.CHARACTERS) & set(glyphs.UNSEEN_CHARACTERS)


def test_test_patches_come_from_other_columns_of_the_photographs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = np.broadcast_to(np.linspace(0.2, 0.8, 200, dtype=np.float32), (60, 200))
    monkeypatch.setattr(patches, "photograph", lambda name: columns)
    left = {side: patches.regions(side)[0] for side in ("left", "right")}
    assert left["left"].max() < left["right"].min()


def test_an_unknown_set_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="digits, glyphs, patches, shapes"):
        data.load("mnist", "train")
    with pytest.raises(ValueError, match="train, test"):
        data.load("digits", "valid")
