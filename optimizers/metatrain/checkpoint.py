"""A MetaState on disk: whole or not there, checked before use, never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FORMAT = 1  # of the file; raise it when old files can no longer be read


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


class Stored(NamedTuple):
    """The content of a checkpoint file."""

    path: Path
    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a neighbour of `path`, then move it there in one step."""
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save(path: Path, state: Any, notes: dict[str, Any]) -> None:
    """Write a pytree of arrays and plain `notes` beside it."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(state)}
    text = json.dumps({"format": FORMAT, "notes": notes})
    digest = _digest(arrays, text)
    everything: dict[str, Any] = {"text": text, "digest": digest, **arrays}
    write_whole(path, lambda part: np.savez(part, **everything))


def read(path: Path) -> Stored:
    """What a file holds, once its checksum is right.

    Raises:
        CheckpointError: missing, damaged, or of another format.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        text, digest = str(arrays.pop("text")), str(arrays.pop("digest"))
        if _digest(arrays, text) != digest:
            raise CheckpointError("its contents do not match its checksum")
        header = json.loads(text)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no checkpoint there") from error
    except Exception as error:  # damage shows as errors of zipfile, zlib, struct, numpy ...
        raise CheckpointError(
            f"{path} is damaged ({error or type(error).__name__}); it cannot be resumed, but the "
            "thetas already saved beside it can: start a new run with --init"
        ) from error
    if header["format"] != FORMAT:
        raise CheckpointError(f"{path} has format {header['format']}, this version reads {FORMAT}")
    return Stored(path, arrays, header["notes"])


def restore(stored: Stored, like: Any) -> Any:
    """The state; `like` is one of the tree, shapes and types to expect.

    Raises:
        CheckpointError: the file is of another configuration.
    """
    leaves = []
    for name, leaf in _named_leaves(like):
        found = stored.arrays.get(name)
        if found is None or (found.shape, found.dtype) != (leaf.shape, leaf.dtype):
            got = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise CheckpointError(
                f"{stored.path} belongs to another configuration: {name} should be "
                f"{leaf.dtype}{list(leaf.shape)}, found {got}"
            )
        leaves.append(jnp.asarray(found))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(f"state{jax.tree_util.keystr(path)}", leaf) for path, leaf in leaves]


def _digest(arrays: dict[str, np.ndarray], text: str) -> str:
    """sha256 over everything in the file, in the order of names."""
    total = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
