"""Everything a run needs to go on, on disk: whole or not there, checked before use.

A checkpoint is a directory named by its iteration: `arrays/` as orbax writes it, and index.json
with the name, shape and dtype of every array, plain facts, and the sha256 of every file.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rl_eval import files
from rl_eval.errors import ExplainedError, MachineError
from rl_eval.run.checkpoint_index import (
    MAX_BYTES,
    DamagedIndexError,
    Index,
    Leaf,
    parse,
    text_of,
)

KEEP = 2  # newest checkpoints; the best is kept besides
OVERHEAD_BYTES = 200_000  # orbax's own files, index.json, and what a file system rounds up
_PART = ".part-"


class CheckpointError(ExplainedError):
    """A checkpoint that cannot be written or used; the message names the file and the reason."""


class DiskError(CheckpointError, MachineError):
    """The disk refuses a checkpoint; those that were there are left as they are."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One checkpoint whose files are whole. Arrays stay on disk until `fill` asks for them.

    `leaves`: what it holds, named as in `named_leaves`.
    """

    path: Path
    iteration: int
    leaves: Mapping[str, Leaf]
    facts: Mapping[str, Any]
    score: float | None


def named_leaves(tree: Any) -> dict[str, np.ndarray]:
    """Every leaf of a pytree on the host, by its path; PRNG keys as their words."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): _to_host(leaf) for path, leaf in flat}


def save(
    directory: Path,
    iteration: int,
    tree: Any,
    facts: Mapping[str, Any],
    config_hash: str,
    score: float | None = None,
) -> None:
    """Write a checkpoint into `directory` and drop those no longer wanted.

    `facts` is plain JSON data; `score` decides which checkpoint is the best.

    Raises:
        DiskError: the disk refuses; checkpoints that were there are left as they are.
    """
    final = directory / f"{iteration:09d}"
    part = directory / f"{_PART}{final.name}-{uuid.uuid4().hex}"
    arrays = named_leaves(tree)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _clear_parts(directory)
        _check_space(directory, sum(x.nbytes for x in arrays.values()))
        part.mkdir()
        # orbax has no arrays of size zero; their shape says all.
        with _one_error():
            _checkpointer().save(
                part.absolute() / "arrays",
                {str(i): x for i, x in enumerate(arrays.values()) if x.size},
            )
        leaves = {
            name: Leaf(i, x.shape, x.dtype.name) for i, (name, x) in enumerate(arrays.items())
        }
        digests = {str(p.relative_to(part)): _sha256(p) for p in _files(part / "arrays")}
        index = Index(iteration, config_hash, score, facts, leaves, digests)
        (part / "index.json").write_text(text_of(index), encoding="utf-8")
        files.sync_tree(part)
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
        files.sync_directory(directory)
    except Exception as error:  # orbax wraps the system's errors in several types of its own
        shutil.rmtree(part, ignore_errors=True)
        raise DiskError(f"{final}: could not be written: {_reason(error)}") from error
    _drop_old(directory)


def iterations(directory: Path) -> list[int]:
    """Iterations that have a checkpoint, newest first; nothing is checked."""
    names = [p.name for p in directory.iterdir()] if directory.is_dir() else []
    numbers = (int(name) for name in names if name.isascii() and name.isdecimal())
    return sorted((i for i in numbers if f"{i:09d}" in names), reverse=True)


def best(directory: Path) -> int | None:
    """Iteration of the readable checkpoint with the highest score; None without scores."""
    scores = []
    for iteration in iterations(directory):
        try:
            score = _read_index(directory / f"{iteration:09d}").score
        except CheckpointError:
            continue
        if score is not None:
            scores.append((score, iteration))
    return max(scores)[1] if scores else None


def load(directory: Path, iteration: int, config_hash: str) -> Checkpoint:
    """Check one checkpoint against its own index.

    Raises:
        CheckpointError: missing, damaged, of another format, or of another configuration.
    """
    path = directory / f"{iteration:09d}"
    index = _read_index(path)
    if index.config != config_hash:
        raise CheckpointError(
            f"{path}: written by configuration {index.config:.40}, this run is {config_hash}; "
            "a run goes on with the configuration that it began with"
        )
    if index.iteration != iteration:
        raise CheckpointError(f"{path}: says that it is of iteration {index.iteration}")
    left = 2 * sum(leaf.nbytes for leaf in index.leaves.values()) + MAX_BYTES
    for name, digest in index.files.items():
        file = path / name
        left -= file.stat().st_size if file.is_file() else 0
        if left < 0:
            raise CheckpointError(f"{path}: has far more bytes than its arrays need")
        if not file.is_file() or _sha256(file) != digest:
            raise CheckpointError(f"{file}: damaged or missing (its checksum does not match)")
    return Checkpoint(path, index.iteration, index.leaves, index.facts, index.score)


def fill(like: Any, checkpoint: Checkpoint, prefix: str = "") -> Any:
    """The pytree `like` (arrays or their shapes) with the stored values; `prefix` goes before.

    Raises:
        CheckpointError: naming the first leaf that is missing or differs in shape or dtype; of
            what does not fit nothing is read.
    """
    flat, treedef = jax.tree_util.tree_flatten_with_path(like)
    needed = {prefix + jax.tree_util.keystr(path): leaf for path, leaf in flat}
    for name, leaf in needed.items():
        stored = checkpoint.leaves.get(name)
        wanted = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        if stored is None:
            raise CheckpointError(f"{checkpoint.path}: has no {name}")
        if stored.shape != wanted.shape or stored.dtype != wanted.dtype.name:
            raise CheckpointError(
                f"{checkpoint.path}: {name} is {stored.dtype}{list(stored.shape)}, "
                f"this run needs {wanted.dtype}{list(wanted.shape)}"
            )
    arrays = _restored(checkpoint.path, [checkpoint.leaves[name] for name in needed])
    leaves = [
        _as_key(array, leaf) if _is_key(leaf) else array
        for leaf, array in zip(needed.values(), arrays, strict=True)
    ]
    return jax.tree.unflatten(treedef, leaves)


def _restored(path: Path, leaves: Sequence[Leaf]) -> list[np.ndarray]:
    """Arrays read by orbax, once its own files agree with the index about their sizes.

    Raises:
        CheckpointError: they do not, or cannot be read.
    """
    stored = {str(leaf.number): leaf for leaf in leaves if leaf.nbytes}
    try:
        if stored:
            _check_sizes(path, stored)
        found = _partly(path, list(stored)) if stored else {}
        return [
            np.asarray(found[str(x.number)] if x.nbytes else [], x.dtype).reshape(x.shape)
            for x in leaves
        ]
    except CheckpointError:
        raise
    except Exception as error:  # whatever orbax makes of a foreign file
        raise CheckpointError(f"{path}: cannot be read: {_reason(error)}") from error


def _check_sizes(path: Path, stored: Mapping[str, Leaf]) -> None:
    """A small file may claim to be of any size, and its chunks are read whole."""
    tree = _checkpointer().metadata(path.absolute() / "arrays").item_metadata.tree
    for number, leaf in stored.items():
        there = tree.get(number)
        chunk = there.storage.chunk_shape if there is not None and there.storage else ()
        small = all(c <= max(1, s) for c, s in zip(chunk, leaf.shape, strict=False))
        if there is None or tuple(there.shape) != leaf.shape or not small:
            raise CheckpointError(f"{path}: its arrays are not of the sizes that its index says")


def _partly(path: Path, numbers: Sequence[str]) -> Any:
    import orbax.checkpoint as ocp

    wanted = ocp.args.PyTreeRestore(item=dict.fromkeys(numbers, 0), partial_restore=True)
    return _checkpointer().restore(path.absolute() / "arrays", args=wanted)


def _reason(error: Exception) -> str:
    text, full = " ".join(str(error).split()), os.strerror(errno.ENOSPC)
    return full if full in text else text[:300]


def _checkpointer() -> Any:
    import orbax.checkpoint as ocp  # slow to import

    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler())


@contextmanager
def _one_error() -> Iterator[None]:
    """orbax raises what goes wrong in its threads; its threads need not print it as well."""
    previous = threading.excepthook
    threading.excepthook = lambda args: None
    try:
        yield
    finally:
        threading.excepthook = previous


def _read_index(path: Path) -> Index:
    file = path / "index.json"
    try:
        return parse(files.read_bytes(file, MAX_BYTES))
    except OSError:
        raise CheckpointError(f"{file}: damaged or missing") from None
    except DamagedIndexError as error:
        raise CheckpointError(f"{file}: {error}") from None


def _check_space(directory: Path, size: int) -> None:
    """Raises OSError where the disk is too full; orbax would say so in many words."""
    free = shutil.disk_usage(directory).free
    if free < size + OVERHEAD_BYTES:
        raise OSError(f"No space left on device: {size:,} bytes to write, {free:,} free")


def _drop_old(directory: Path) -> None:
    keep = {*iterations(directory)[:KEEP], best(directory)}
    for iteration in iterations(directory):
        if iteration not in keep:
            shutil.rmtree(directory / f"{iteration:09d}", ignore_errors=True)


def _clear_parts(directory: Path) -> None:
    """What a killed writer left; a run directory has one writer at a time."""
    for part in directory.glob(f"{_PART}*"):
        shutil.rmtree(part, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _is_key(leaf: Any) -> bool:
    return jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _as_key(words: np.ndarray, like: Any) -> jax.Array:
    """Keys of the implementation of `like`, an array of keys or its shape."""
    found: list[Any] = []
    jax.eval_shape(lambda keys: found.append(jax.random.key_impl(keys)), like)
    return jax.random.wrap_key_data(jax.numpy.asarray(words), impl=found[0])


def _to_host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
