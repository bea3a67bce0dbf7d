"""Weights in safetensors, under our own names or those of pylo's PyTorch mirrors of Celo2."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optimizers.weights.templates import (
    Theta,
    WeightsError,
    array_of,
    name_of,
    nest,
    template_of,
)

MAX_HEADER = 1 << 20  # bytes; that of Celo2's 18 arrays has about 1,500
_PREFIX = "theta/"
_META_MLP = "network.input.weight"  # pylo's MetaMLP, its mirrors of muLO and small_fc_lopt


def is_safetensors(data: bytes) -> bool:
    """Whether it begins as such a file does: the length of a JSON object, and the object."""
    return len(data) > 8 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") < 1 << 32


def decode_safetensors(data: bytes, optimizer: str) -> Theta:
    """The tree that the arrays form, in the template's order; not yet checked against it.

    Raises:
        WeightsError: damaged, not float32, or of a layout that cannot be read.
    """
    arrays = _read(data)
    paths = {name_of(path): path for path in template_of(optimizer)}
    renamed = {_own_name(name, paths): array for name, array in arrays.items()}
    if len(renamed) < len(arrays):
        raise WeightsError("two arrays in it stand for the same leaf")
    if _META_MLP in renamed:
        raise WeightsError(
            "it has the layout of pylo's MetaMLP, which lacks the decays that were learned with "
            "it, and so cannot be used"
        )
    known = {path: renamed.pop(name) for name, path in paths.items() if name in renamed}
    return nest(known | {(name,): array for name, array in renamed.items()})


def _read(data: bytes) -> Mapping[str, np.ndarray]:
    header = int.from_bytes(data[:8], "little")
    if header > min(MAX_HEADER, len(data) - 8):
        raise WeightsError(
            f"a damaged or truncated safetensors file (its header claims {header:,} bytes)"
        )
    try:
        import safetensors
    except ImportError:
        raise WeightsError("safetensors need an extra: pip install 'rl-eval[hub]'") from None
    try:
        found = safetensors.deserialize(data)
    except Exception as error:  # SafetensorError, or whatever its header leads to
        raise WeightsError(f"a damaged or truncated safetensors file ({error})") from error
    for name, tensor in found:
        if tensor["dtype"] != "F32":
            raise WeightsError(f"{name[:60]} in it is {tensor['dtype']}, expected F32")
    return {name: array_of(bytes(tensor["data"]), tensor["shape"]) for name, tensor in found}


def _own_name(name: str, paths: Mapping[str, object]) -> str:
    """Of Celo2's mirrors: w0.3 is slab 3 of the first layer, dense_w.0 the next layer's matrix.

    Their matrices are laid out as ours, inputs first, not as PyTorch's Linear has them.
    """
    if name.removeprefix(_PREFIX) in paths:
        return name.removeprefix(_PREFIX)
    kind, _, number = name.partition(".")
    own = None
    if kind == "w0" and number.isdecimal():
        own = f"w0__{int(number)}"
    elif kind in ("dense_w", "dense_b") and number.isdecimal():
        own = f"{kind[-1]}{int(number) + 1}"
    elif name == "b0":
        own = name
    return name if own is None else f"ff_mod_stack/~/{own}"
