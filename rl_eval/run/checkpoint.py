"""Everything a run needs to go on, on disk: whole or not there, checked before use.

A checkpoint is a directory named by its iteration: `arrays/` as orbax writes it, and index.json
with the name, shape and dtype of every array, plain facts, and the sha256 of every file.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rl_eval.errors import ExplainedError

FORMAT = 1
KEEP = 2  # newest checkpoints; the best is kept besides
OVERHEAD_BYTES = 200_000  # orbax's own files, index.json, and what a file system rounds up
_PART = ".part-"


class CheckpointError(ExplainedError):
    """A checkpoint that cannot be written or used; the message names the file and the reason."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One checkpoint read back. `arrays` are named as in `named_leaves`."""

    path: Path
    iteration: int
    arrays: Mapping[str, np.ndarray]
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
        CheckpointError: the disk refuses; checkpoints that were there are left as they are.
    """
    final = directory / f"{iteration:09d}"
    part = directory / f"{_PART}{final.name}-{os.getpid()}"
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
        index = {
            "format": FORMAT,
            "iteration": iteration,
            "config": config_hash,
            "score": score,
            "facts": facts,
            "leaves": [[name, list(x.shape), x.dtype.name] for name, x in arrays.items()],
            "files": {str(p.relative_to(part)): _sha256(p) for p in _files(part / "arrays")},
        }
        text = json.dumps(index)
        digest = hashlib.sha256(text.encode()).hexdigest()
        (part / "index.json").write_text(f"{digest}\n{text}\n", encoding="utf-8")
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
    except Exception as error:  # orbax wraps the system's errors in several types of its own
        shutil.rmtree(part, ignore_errors=True)
        text, full = " ".join(str(error).split()), os.strerror(errno.ENOSPC)
        reason = full if full in text else text[:300]
        raise CheckpointError(f"{final}: could not be written: {reason}") from error
    _drop_old(directory)


def iterations(directory: Path) -> list[int]:
    """Iterations that have a checkpoint, newest first; nothing is checked."""
    names = [p.name for p in directory.iterdir()] if directory.is_dir() else []
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def best(directory: Path) -> int | None:
    """Iteration of the readable checkpoint with the highest score; None without scores."""
    scores = []
    for iteration in iterations(directory):
        try:
            score = _read_index(directory / f"{iteration:09d}")["score"]
        except CheckpointError:
            continue
        if score is not None:
            scores.append((score, iteration))
    return max(scores)[1] if scores else None


def load(directory: Path, iteration: int, config_hash: str) -> Checkpoint:
    """Read and check one checkpoint.

    Raises:
        CheckpointError: missing, damaged, of another format, or of another configuration.
    """
    path = directory / f"{iteration:09d}"
    index = _read_index(path)
    if index["config"] != config_hash:
        raise CheckpointError(
            f"{path}: written by configuration {index['config']}, this run is {config_hash}; "
            "a run goes on with the configuration that it began with"
        )
    for name, digest in index["files"].items():
        file = path / name
        if not file.is_file() or _sha256(file) != digest:
            raise CheckpointError(f"{file}: damaged or missing (its checksum does not match)")
    try:
        stored = _checkpointer().restore(path.absolute() / "arrays")
        arrays = {
            name: np.asarray(stored[str(i)] if np.prod(shape) else [], dtype).reshape(shape)
            for i, (name, shape, dtype) in enumerate(index["leaves"])
        }
    except Exception as error:  # whatever orbax makes of a foreign file
        text, full = " ".join(str(error).split()), os.strerror(errno.ENOSPC)
        reason = full if full in text else text[:300]
        raise CheckpointError(f"{path}: cannot be read: {reason}") from error
    return Checkpoint(path, index["iteration"], arrays, index["facts"], index["score"])


def fill(like: Any, checkpoint: Checkpoint, prefix: str = "") -> Any:
    """The pytree `like` (arrays or their shapes) with the stored values; `prefix` goes before.

    Raises:
        CheckpointError: naming the first leaf that is missing or differs in shape or dtype.
    """
    flat, treedef = jax.tree_util.tree_flatten_with_path(like)
    leaves = []
    for path, leaf in flat:
        name = prefix + jax.tree_util.keystr(path)
        stored = checkpoint.arrays.get(name)
        wanted = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        if stored is None:
            raise CheckpointError(f"{checkpoint.path}: has no {name}")
        if stored.shape != wanted.shape or stored.dtype != wanted.dtype:
            raise CheckpointError(
                f"{checkpoint.path}: {name} is {stored.dtype}{list(stored.shape)}, "
                f"this run needs {wanted.dtype}{list(wanted.shape)}"
            )
        leaves.append(
            jax.random.wrap_key_data(jax.numpy.asarray(stored)) if _is_key(leaf) else stored
        )
    return jax.tree.unflatten(treedef, leaves)


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


def _read_index(path: Path) -> dict[str, Any]:
    file = path / "index.json"
    try:
        digest, text = file.read_text(encoding="utf-8").split("\n", 1)
        text = text.removesuffix("\n")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise CheckpointError(f"{file}: damaged (its checksum does not match)")
        index = json.loads(text)
    except (OSError, ValueError):
        raise CheckpointError(f"{file}: damaged or missing") from None
    if index.get("format") != FORMAT:
        raise CheckpointError(f"{file}: format {index.get('format')}, this version reads {FORMAT}")
    return index


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


def _to_host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
