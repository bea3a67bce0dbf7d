"""A MetaState on disk: whole or not there, checked before use, never a pickle."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optimizers.weights.files import read_bytes, write_whole

FORMAT = 1  # of the file; raise it when old files can no longer be read


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


class Stored(NamedTuple):
    """The content of a checkpoint file."""

    path: Path
    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def save(path: Path, state: Any, notes: dict[str, Any]) -> None:
    """Write a pytree of arrays and plain `notes` beside it."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(state)}
    text = json.dumps({"format": FORMAT, "notes": notes})
    digest = _digest(arrays, text)
    everything: dict[str, Any] = {"text": text, "digest": digest, **arrays}
    buffer = io.BytesIO()
    np.savez(buffer, **everything)
    write_whole(path, buffer.getvalue())


def read(path: Path) -> Stored:
    """What a file holds, once its checksum is right.

    Raises:
        CheckpointError: missing, damaged, or of another format.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no checkpoint there")
    try:
        content = io.BytesIO(read_bytes(path))
        with np.load(content, allow_pickle=False) as stored:
            # As it is written: of a packed one nobody knows how large it gets.
            if any(member.compress_type for member in stored.zip.infolist()):
                raise CheckpointError("it is compressed")
            arrays = {name: stored[name] for name in stored.files}
        text, digest = str(arrays.pop("text")), str(arrays.pop("digest"))
        if _digest(arrays, text) != digest:
            raise CheckpointError("its contents do not match its checksum")
        header = json.loads(text)
    except Exception as error:  # damage shows as errors of zipfile, zlib, struct, numpy ...
        raise CheckpointError(
            f"{path} is damaged ({error or type(error).__name__}); it cannot be resumed, but the "
            "thetas already saved beside it can: start a new run with --init"
        ) from error
    written = header.get("format") if isinstance(header, dict) else None
    if written != FORMAT:
        hint = "; update rl-eval" if isinstance(written, int) and written > FORMAT else ""
        raise CheckpointError(
            f"{path} has format {written!r:.40}, this version reads {FORMAT}{hint}"
        )
    return Stored(path, arrays, header.get("notes") or {})


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


def number(stored: Stored, name: str) -> float:
    """A note that is a number.

    Raises:
        CheckpointError: it is missing or something else.
    """
    found = stored.notes.get(name)
    if not isinstance(found, (int, float)):
        raise CheckpointError(f"{stored.path} does not tell its {name}")
    return float(found)


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
