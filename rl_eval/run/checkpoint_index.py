"""index.json of a checkpoint: what it holds, checked before anything of it is read."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import jax
import numpy as np

from rl_eval import files

FORMAT = 1
MAX_BYTES = 50_000_000
MAX_RANK = 32  # of an array


class DamagedIndexError(ValueError):
    """An index that no writer of ours wrote."""


@dataclasses.dataclass(frozen=True)
class Leaf:
    """An array by its number among those stored, its shape and the name of its type."""

    number: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * jax.numpy.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Index:
    """What a checkpoint says of itself. `files`: sha256 by path below its directory."""

    iteration: int
    config: str
    score: float | None
    facts: Mapping[str, Any]
    leaves: Mapping[str, Leaf]
    files: Mapping[str, str]


def text_of(index: Index) -> str:
    """As a file has it, with its own checksum first."""
    document = {
        "format": FORMAT,
        "iteration": index.iteration,
        "config": index.config,
        "score": index.score,
        "facts": index.facts,
        "leaves": [[name, list(x.shape), x.dtype] for name, x in index.leaves.items()],
        "files": dict(index.files),
    }
    text = files.to_json(document)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n"


def parse(content: bytes) -> Index:
    """The index in a file's content.

    Raises:
        DamagedIndexError: with the reason.
    """
    digest, _, text = content.partition(b"\n")
    text = text.removesuffix(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise DamagedIndexError("damaged (its checksum does not match)")
    try:
        document = files.parse_json(text)
        if document["format"] != FORMAT:
            written = str(document["format"])[:20]
            newer = type(document["format"]) is int and document["format"] > FORMAT
            hint = "; update rl-eval" if newer else ""
            raise DamagedIndexError(f"format {written}, this version reads {FORMAT}{hint}")
        return _index(document)
    except DamagedIndexError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise DamagedIndexError(f"not an index of a checkpoint: {error!r:.200}") from None


def _index(document: dict[str, Any]) -> Index:
    score, iteration = document["score"], document["iteration"]
    if not (score is None or math.isfinite(score)) or type(iteration) is not int:
        raise DamagedIndexError("its score or iteration is not a number")
    leaves = {
        name: _leaf(number, shape, dtype)
        for number, (name, shape, dtype) in enumerate(document["leaves"])
    }
    digests = dict(document["files"])
    if not all(isinstance(x, str) for x in (*leaves, *digests, *digests.values())):
        raise DamagedIndexError("its names are not text")
    for name in digests:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise DamagedIndexError(f"{name!r:.80} is not below it")
    return Index(
        iteration, str(document["config"]), score, dict(document["facts"]), leaves, digests
    )


def _leaf(number: int, shape: list[int], dtype: str) -> Leaf:
    sizes = all(type(size) is int and 0 <= size < 2**40 for size in shape)
    if not sizes or len(shape) > MAX_RANK or np.dtype(jax.numpy.dtype(dtype)).hasobject:
        raise DamagedIndexError("an array in it has no proper shape or type")
    return Leaf(number, tuple(shape), dtype)
