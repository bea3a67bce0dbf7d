"""Inner problems: what a learned optimizer is meta-trained to train."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, Num, Shaped

from optimizers.metatrain.tasks import data, patches

Params = Any  # a pytree of arrays
Batch = Any  # a pytree of arrays [batch, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class MetaTask:
    """A problem to train on: parameters, a loss, and the examples that batches are drawn from.

    Attributes:
        name: how records call it.
        init: fresh parameters from a key.
        loss: mean loss of parameters on a batch, a float32 scalar.
        examples: pytree of arrays [num_examples, ...]; a batch is `batch_size` rows of each, drawn
            with replacement.
        batch_size: examples per inner step.
    """

    name: str
    init: Callable[[Key[Array, ""]], Params]
    loss: Callable[[Params, Batch], Float[Array, ""]]
    examples: Any
    batch_size: int = 64


@dataclasses.dataclass(frozen=True, eq=False)
class TaskGroup:
    """Tasks of one shape, stacked so that one program trains all of them.

    `examples` is [task, most_examples, ...], short sets padded with rows that are never drawn;
    `counts` int32 [task] is how many rows are real.
    """

    names: tuple[str, ...]
    init: Callable[[Key[Array, ""]], Params]
    loss: Callable[[Params, Batch], Float[Array, ""]]
    examples: Any
    counts: Int[Array, " task"]
    batch_size: int

    def digest(self, task: int) -> str:
        """sha256 of one task's examples: the same data or not?"""
        rows = [x[task, : self.counts[task]] for x in jax.tree.leaves(self.examples)]
        return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in rows)).hexdigest()

    def draw(
        self, key: Key[Array, ""], num_steps: int, particles: int
    ) -> Int[Array, "step task particle batch"]:
        """Which rows make the batches of `num_steps` steps of every particle."""
        shape = (num_steps, len(self.names), particles, self.batch_size)
        return jax.random.randint(key, shape, 0, self.counts[:, None, None])

    def batch(self, rows: Int[Array, "task particle batch"]) -> Batch:
        """The batches of one step: a pytree of [task, particle, batch, ...]."""
        task = jnp.arange(len(self.names))[:, None, None]
        return jax.tree.map(lambda x: x[task, rows], self.examples)


def group_tasks(tasks: Sequence[MetaTask]) -> tuple[TaskGroup, ...]:
    """Stack tasks that share `init`, `loss`, batch size and example shapes; keeps their order.

    Raises:
        ValueError: no task, or two of one name.
    """
    names = [task.name for task in tasks]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"meta-training needs tasks of different names, got {names}")
    groups: dict[Any, list[MetaTask]] = {}
    for task in tasks:
        shapes = tuple((x.shape[1:], str(x.dtype)) for x in jax.tree.leaves(task.examples))
        groups.setdefault((task.init, task.loss, task.batch_size, shapes), []).append(task)
    return tuple(_stack(members) for members in groups.values())


def _stack(tasks: list[MetaTask]) -> TaskGroup:
    counts = [len(jax.tree.leaves(task.examples)[0]) for task in tasks]

    def stack(*columns: Shaped[np.ndarray, ...]) -> Shaped[Array, "task row ..."]:
        padding = [[(0, max(counts) - len(x))] + [(0, 0)] * (x.ndim - 1) for x in columns]
        return jnp.stack([jnp.pad(x, p) for x, p in zip(columns, padding, strict=True)])

    return TaskGroup(
        names=tuple(task.name for task in tasks),
        init=tasks[0].init,
        loss=tasks[0].loss,
        examples=jax.tree.map(stack, *(task.examples for task in tasks)),
        counts=jnp.array(counts, jnp.int32),
        batch_size=tasks[0].batch_size,
    )


@functools.cache
def mlp_classifier(
    sizes: tuple[int, ...],
) -> tuple[Callable[..., Params], Callable[..., Float[Array, ""]]]:
    """`init` and cross-entropy `loss` of a ReLU MLP on uint8 images; `sizes` from input to classes.

    Kernels are normal with variance 1 / fan_in, biases 0. Cached, so that equal sizes give equal
    functions and their tasks can be stacked.
    """

    def init(key: Key[Array, ""]) -> Params:
        keys = jax.random.split(key, len(sizes) - 1)
        return {
            f"dense_{i}": {
                "kernel": jax.random.normal(k, (fan_in, fan_out)) * fan_in**-0.5,
                "bias": jnp.zeros(fan_out),
            }
            for i, (k, fan_in, fan_out) in enumerate(zip(keys, sizes[:-1], sizes[1:], strict=True))
        }

    def loss(params: Params, batch: Batch) -> Float[Array, ""]:
        images, labels = batch
        x = images.reshape(len(images), -1).astype(jnp.float32) / 255
        for i in range(len(sizes) - 1):
            layer = params[f"dense_{i}"]
            x = (jax.nn.relu(x) if i else x) @ layer["kernel"] + layer["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(x, labels).mean()

    return init, loss


def image_task(
    name: str, images: data.ImageSet, hidden: tuple[int, ...] = (32,), batch_size: int = 64
) -> MetaTask:
    """Classify the images of a set with an MLP of the given hidden widths."""
    inputs = int(np.prod(images.images.shape[1:]))
    init, loss = mlp_classifier((inputs, *hidden, int(images.labels.max()) + 1))
    return MetaTask(name, init, loss, (images.images, images.labels), batch_size)


def resolve(name: str, hidden: tuple[int, ...] = (32,), batch_size: int = 64) -> MetaTask:
    """The task of a built-in set's name, or of a `.npz` file (see `read_npz`).

    Hidden widths may follow a colon: `digits:64x64` has two layers of 64, whatever `hidden` says.
    """
    source, suffix = name, ""
    if own := re.search(r":([1-9]\d*(?:x[1-9]\d*)*)$", name):
        source, suffix = name[: own.start()], own[0]
        hidden = tuple(int(width) for width in own[1].split("x"))
    if source.endswith(".npz"):
        path = Path(source)
        return image_task(path.stem + suffix, read_npz(path), hidden, batch_size)
    return image_task(name, data.load(source, "train"), hidden, batch_size)


def read_npz(path: Path, side: int = 8) -> data.ImageSet:
    """An MNIST-like file, as grey images of `side` x `side` by area averaging.

    Arrays `x_train` and `y_train` (the layout Keras publishes MNIST in) or `images` and `labels`:
    uint8 [num_images, height, width] or [num_images, height, width, 3], integer [num_images].

    Raises:
        ValueError: the file lacks the arrays or they have other shapes or types.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        names = ("x_train", "y_train") if "x_train" in stored else ("images", "labels")
        missing = [name for name in names if name not in stored]
        if missing:
            raise ValueError(f"{path}: no array '{missing[0]}'; it has {', '.join(stored.files)}")
        images, labels = stored[names[0]], stored[names[1]].squeeze()
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise ValueError(
            f"{path}: images must be uint8 [n, height, width] or [n, height, width, 3], "
            f"got {images.dtype} {list(images.shape)}"
        )
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{path}: labels must be integers [{len(images)}], got {labels.shape}")
    grey = images @ patches.LUMA if images.ndim == 4 else images.astype(np.float32)
    rows, columns = _area(side, images.shape[1]), _area(side, images.shape[2])
    small = np.einsum("ih,nhw,jw->nij", rows, grey, columns, optimize=True)
    return data.ImageSet(np.round(small).astype(np.uint8), labels.astype(np.int32))


def _area(side: int, length: int) -> Num[np.ndarray, "side length"]:
    """Weights that average `length` pixels into `side` equal spans."""
    edges = np.arange(side + 1) * (length / side)
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.clip(overlap, 0, None) * (side / length)
