"""Weights as bytes: flax msgpack (as the references write it), npz and safetensors.

Pickles are never opened.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import uuid
import zipfile
from pathlib import Path
from typing import Any

import flax.serialization
import msgpack
import numpy as np

from optimizers.weights.mirrors import decode_safetensors, is_safetensors
from optimizers.weights.templates import (
    Theta,
    WeightsError,
    array_of,
    check,
    leaves_of,
    name_of,
    nest,
    template_of,
)

MAX_BYTES = 1 << 28  # the largest known theta, VeLO's, has 9.3 MB

_NPZ_PREFIX = "theta/"


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a weights file; `WeightsError` when it cannot be read or is too large."""
    try:
        # Without waiting: a FIFO or a device is no weights file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise WeightsError(f"cannot read {path}: it is not a regular file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise WeightsError(f"{path} is larger than any weights file ({MAX_BYTES >> 20} MiB)")
    return data


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that neither a kill nor a power cut leaves half of it."""
    # Its name cannot be foreseen, so nobody can have put a link there.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def decode(data: bytes, optimizer: str, source: str = "the file") -> Theta:
    """Weights of `optimizer` from the content of a msgpack, npz or safetensors file.

    Raises:
        WeightsError: names `source` and what is wrong with it.
    """
    if (other := _something_else(data)) is not None:
        raise WeightsError(f"{source} {other}")
    try:
        return check(_tree(data, optimizer), optimizer)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error


def _tree(data: bytes, optimizer: str) -> Any:
    if data.startswith(b"PK\x03\x04"):
        return _decode_npz(data, optimizer)
    if is_safetensors(data):
        return decode_safetensors(data, optimizer)
    return _decode_msgpack(data)


def _something_else(data: bytes) -> str | None:
    """What a file is that people give as weights by mistake, and what to do."""
    if not data:
        return "is empty: fetch it again"
    if data.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file: fetch that with `git lfs pull`"
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml)", data[:200], re.IGNORECASE):
        return (
            "is a web page, not the file: on the hub the link has /resolve/ where this has /blob/"
        )
    if data.startswith(b"\x1f\x8b"):
        return "is compressed with gzip: unpack it first"
    if len(data) > 1 and data[0] == 0x80 and 2 <= data[1] <= 5:
        return f"is a pickle, {_PICKLE}"
    return None


def encode(theta: Theta, suffix: str = ".msgpack") -> bytes:
    """Weights as file content; keys stay in the order of `theta`."""
    arrays: dict[Any, Any] = {
        path: np.asarray(leaf, np.float32, order="C") for path, leaf in leaves_of(theta)
    }
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, **{_NPZ_PREFIX + name_of(path): leaf for path, leaf in arrays.items()})
        return buffer.getvalue()
    return flax.serialization.msgpack_serialize(nest(arrays), in_place=True)


def save(path: str | os.PathLike[str], theta: Any) -> str:
    """Write weights whole or not at all: npz if `path` ends so, else flax msgpack.

    Returns:
        The sha256 of the file.
    """
    path = Path(path)
    data = encode(flax.serialization.to_state_dict(theta), path.suffix)
    write_whole(path, data)
    return sha256_of(data)


_PICKLE = (
    "and unpickling runs code, so it is not opened. Weights must be flax msgpack, npz or "
    "safetensors; "
    "Google's VeLO is to be had as msgpack under hf:amoudgl/velo-4000"
)


def _decode_msgpack(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, object_pairs_hook=_no_duplicates, ext_hook=_array)
    except WeightsError:
        raise
    except Exception as error:  # msgpack has no common base class for what bad bytes raise
        reason = str(error) or type(error).__name__
        if "incomplete input" in reason:
            raise WeightsError("truncated: it ends before its arrays do") from error
        raise WeightsError(f"none of flax msgpack, npz and safetensors ({reason})") from error


def _no_duplicates(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) or not all(isinstance(key, str) for key in found):
        raise WeightsError("a map in it has duplicate keys or keys that are not text")
    return found


def _array(code: int, payload: bytes) -> np.ndarray:
    """flax's extension type 1: msgpack of (shape, dtype name, little-endian bytes)."""
    if code != 1:
        raise WeightsError(f"an entry in it has the msgpack type {code}, arrays have 1")
    shape, dtype, raw = msgpack.unpackb(payload)
    if dtype != "float32":
        raise WeightsError(f"an array in it is {str(dtype)[:20]!r}, expected 'float32'")
    return array_of(raw, shape)


def _decode_npz(data: bytes, optimizer: str) -> Theta:
    """The entries `theta/<path>`, in the template's order; others are ignored."""
    paths = {name_of(path): path for path in template_of(optimizer)}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if any(member.filename.endswith(".pkl") for member in members):
                raise WeightsError(f"it holds a pickle (a PyTorch checkpoint?), {_PICKLE}")
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise WeightsError(f"it unpacks to more than {MAX_BYTES >> 20} MiB")
            arrays = {
                member.filename.removeprefix(_NPZ_PREFIX).removesuffix(".npy"): _npy(
                    archive.read(member)
                )
                for member in members
                if member.filename.startswith(_NPZ_PREFIX)
            }
    except WeightsError:
        raise
    except Exception as error:  # bad archives raise many things: zlib, zipfile, struct, value
        raise WeightsError(
            f"a damaged or truncated npz ({error or type(error).__name__})"
        ) from error
    if not arrays:
        raise WeightsError(f"an npz without entries named {_NPZ_PREFIX}<path>")
    known = {path: arrays.pop(name) for name, path in paths.items() if name in arrays}
    return nest(known | {(name,): array for name, array in arrays.items()})


def _npy(content: bytes) -> np.ndarray:
    """An .npy member, read without numpy's allocation of whatever size the header claims."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(stream)
    if dtype != np.dtype("<f4") or fortran:
        raise WeightsError(f"an array in it is {dtype}, expected float32 in C order")
    return array_of(stream.read(), shape)
