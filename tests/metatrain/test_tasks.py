"""Tasks of one's own: stacking, batches, files."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metatrain import tiny

from optimizers.metatrain.tasks import data, tasks


def images(count: int, value: int, side: int = 8) -> data.ImageSet:
    labels = np.arange(count, dtype=np.int32) % 10
    return data.ImageSet(np.full((count, side, side), value, np.uint8), labels)


def test_tasks_of_one_shape_are_stacked_and_padding_is_never_drawn() -> None:
    (group,) = tasks.group_tasks(
        [tasks.image_task("few", images(11, 7)), tasks.image_task("many", images(40, 9))]
    )
    assert group.names == ("few", "many")
    rows = group.draw(jax.random.key(0), 50, 3)
    assert rows.shape == (50, 2, 3, 64)
    assert rows[:, 0].max() == 10
    assert rows[:, 1].max() == 39
    pixels, labels = group.batch(rows[0])
    assert pixels.shape == (2, 3, 64, 8, 8)
    np.testing.assert_array_equal(pixels[0], 7)
    np.testing.assert_array_equal(pixels[1], 9)
    np.testing.assert_array_equal(labels, rows[0] % 10)


def test_tasks_of_different_shapes_stay_apart() -> None:
    wide = tasks.image_task("wide", images(11, 7), hidden=(16,))
    groups = tasks.group_tasks([wide, tasks.image_task("plain", images(11, 7)), tiny.parabola()])
    assert [group.names for group in groups] == [("wide",), ("plain",), ("parabola",)]


def test_two_tasks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        tasks.group_tasks([tiny.parabola(), tiny.parabola()])


def test_a_fresh_classifier_is_at_chance() -> None:
    init, loss = tasks.mlp_classifier((64, 32, 10))
    params = init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == {
        "dense_0": {"kernel": (64, 32), "bias": (32,)},
        "dense_1": {"kernel": (32, 10), "bias": (10,)},
    }
    value = loss(params, (jnp.asarray(images(50, 100).images), jnp.arange(50) % 10))
    assert abs(float(value) - np.log(10)) < 0.3


@pytest.mark.parametrize(("suffix", "widths"), [("", (7,)), (":5", (5,)), (":12x6", (12, 6))])
def test_a_name_may_end_in_hidden_widths(tmp_path: Path, suffix: str, widths: tuple) -> None:
    shapes = images(30, 3)
    np.savez(tmp_path / "own.npz", images=shapes.images, labels=shapes.labels)
    for name, label in (("digits", "digits"), (str(tmp_path / "own.npz"), "own")):
        task = tasks.resolve(name + suffix, hidden=(7,))
        assert task.name == label + suffix
        biases = [layer["bias"].size for layer in task.init(jax.random.key(0)).values()]
        assert biases == [*widths, 10]


@pytest.mark.parametrize("name", ["digits:", "digits:0", "digits:6x", "digits:x6"])
def test_other_suffixes_are_no_set(name: str) -> None:
    with pytest.raises(ValueError, match=f"no data set '{name}'"):
        tasks.resolve(name)


@pytest.mark.parametrize("names", [("x_train", "y_train"), ("images", "labels")])
def test_an_mnist_like_file_is_averaged_to_8x8(tmp_path: Path, names: tuple[str, str]) -> None:
    pixels = np.zeros((20, 28, 28), np.uint8)
    pixels[:, :14] = 200  # the upper half: four whole rows of the small image
    path = tmp_path / "mnist.npz"
    np.savez(path, **{names[0]: pixels, names[1]: np.arange(20) % 10})
    small = tasks.read_npz(path)
    np.testing.assert_array_equal(small.images[:, :4], 200)
    np.testing.assert_array_equal(small.images[:, 4:], 0)
    task = tasks.resolve(str(path))
    assert task.name == "mnist"
    builtin = tasks.image_task("other", images(30, 3))
    assert len(tasks.group_tasks([task, builtin])) == 1


def test_colours_become_grey(tmp_path: Path) -> None:
    pixels = np.zeros((5, 32, 32, 3), np.uint8)
    pixels[..., 1] = 100
    np.savez(tmp_path / "svhn.npz", images=pixels, labels=np.zeros((5, 1), int))
    np.testing.assert_array_equal(tasks.read_npz(tmp_path / "svhn.npz").images, 59)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((5, 8, 8), np.uint8)}, "no array 'labels'"),
        ({"images": np.zeros((5, 8, 8)), "labels": np.zeros(5, int)}, "must be uint8"),
        ({"images": np.zeros((5, 64), np.uint8), "labels": np.zeros(5, int)}, "must be uint8"),
        ({"images": np.zeros((5, 8, 8), np.uint8), "labels": np.zeros(4, int)}, "labels must be"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        tasks.read_npz(tmp_path / "bad.npz")
