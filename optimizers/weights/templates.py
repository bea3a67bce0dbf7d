"""What the weights (theta) of each learned optimizer look like, and whether a tree is that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Theta = dict[str, Any]  # nested dicts with float32 arrays at the leaves
Path = tuple[str, ...]
Shape = tuple[int | str, ...]  # "4H" is four times the free size H
Template = dict[Path, Shape]

MAX_FREE_SIZE = 8192
_MAX_DEPTH = 8


class WeightsError(ValueError):
    """Weights that cannot be had or cannot be used; the message says what to do."""


def _per_parameter_mlp(hidden: int, banks: Shape = ()) -> Template:
    """30 input channels in 14 slabs -> hidden -> hidden -> 3."""
    channels = (1, 1, 1, 3, 1, 3, 1, 3, 1, 3, 3, 3, 3, 3)
    shapes: dict[str, Shape] = {f"w0__{i}": (k, hidden) for i, k in enumerate(channels)}
    shapes |= {"b0": (hidden,), "w1": (hidden, hidden), "b1": (hidden,)}
    shapes |= {"w2": (hidden, 3), "b2": (3,)}
    return {("ff_mod_stack", "~", name): banks + shapes[name] for name in sorted(shapes)}


def _per_tensor_lstm(inputs: int, heads: Mapping[str, int | str]) -> Template:
    """An LSTM over tensors with H units, two mixing layers before it and linear heads after."""
    template: Template = {("lstm_init_state", part): (1, "H") for part in ("hidden", "cell")}
    layers: dict[str, Shape] = dict.fromkeys(("linear", "linear_1", "linear_2"), (inputs, "H"))
    layers["rnn/linear"] = ("2H", "4H")  # one key: the slash belongs to its name
    layers |= {name: ("H", width) for name, width in heads.items()}
    for name, shape in layers.items():
        template["rnn_params", name, "w"] = shape
        template["rnn_params", name, "b"] = shape[1:]
    return template


_CELO2 = _per_parameter_mlp(8)
_VELO = _per_tensor_lstm(30, {"rnn_to_controls": "P", "step_size": 1}) | _per_parameter_mlp(
    4, banks=("P",)
)
_CELO = _per_tensor_lstm(18, {"rnn_to_controls": 1, "step_size": 1}) | _per_parameter_mlp(
    4, banks=(1,)
)
_MLP_LOPT: Template = {
    ("momentum_decays",): (3,),
    ("rms_decays",): (1,),
    ("adafactor_decays",): (3,),
    ("nn", "~", "w0"): (39, "D"),
    ("nn", "~", "b0"): ("D",),
    ("nn", "~", "w1"): ("D", "D"),
    ("nn", "~", "b1"): ("D",),
    ("nn", "~", "w2"): ("D", 2),
    ("nn", "~", "b2"): (2,),
}

TEMPLATES: dict[str, Template] = {
    "celo2": _CELO2,
    "celo2-base": _CELO2,
    "velo": _VELO,
    "velo-s": _VELO,
    "celo": _CELO,
    "celo-adam": _per_tensor_lstm(18, {"step_size": 1}),
    "mlp-lopt": _MLP_LOPT,
    "mulo": _MLP_LOPT,
}


def template_of(optimizer: str) -> Template:
    """The leaves of an optimizer's theta; `WeightsError` when it has no weights."""
    if optimizer not in TEMPLATES:
        raise WeightsError(
            f"'{optimizer}' is not an optimizer with weights; those are {', '.join(TEMPLATES)}"
        )
    return TEMPLATES[optimizer]


def check(theta: Any, optimizer: str) -> Theta:
    """`theta` as nested dicts, in its own key order, once it proved to be of the right form.

    Leaves may be traced; numpy leaves must be finite. Named tuples count as dicts of their fields.

    Raises:
        WeightsError: names the first leaf that is missing, superfluous, of the wrong shape or
            type, or not finite, and what was expected.
    """
    template = template_of(optimizer)
    theta = _as_dicts(theta)
    leaves = dict(leaves_of(theta))
    sizes: dict[str, int] = {}
    for path, shape in template.items():
        if path not in leaves:
            raise WeightsError(f"{optimizer} weights lack the leaf {name_of(path)} {_text(shape)}")
        _check_leaf(f"{optimizer} weights: {name_of(path)}", leaves[path], shape, sizes)
    for path in leaves:
        if path not in template:
            raise WeightsError(
                f"{optimizer} weights have a leaf {name_of(path)} that does not belong there; "
                f"expected {', '.join(sorted({known[0] for known in template}))}"
            )
    return theta


def leaves_of(theta: Theta, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, leaf) in the tree's own order."""
    for key, value in theta.items():
        if isinstance(value, dict):
            yield from leaves_of(value, (*above, key))
        else:
            yield (*above, key), value


def array_of(raw: bytes, shape: Any) -> np.ndarray:
    """The float32 array of that shape whose little-endian bytes are `raw`."""
    shape = tuple(shape)
    if len(shape) > 8 or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise WeightsError("an array in it has no proper shape")
    if math.prod(shape) * 4 != len(raw):
        raise WeightsError(f"an array in it has {len(raw)} bytes, its shape {shape} says otherwise")
    return np.frombuffer(raw, "<f4").reshape(shape).astype(np.float32)


def name_of(path: Path) -> str:
    return "/".join(path)


def nest(leaves: Mapping[Path, Any]) -> Theta:
    """The tree of these leaves, in their order."""
    tree: Theta = {}
    for (*above, key), leaf in leaves.items():
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[key] = leaf
    return tree


def size_of(dim: int | str, sizes: Mapping[str, int]) -> int:
    """An axis length of a template, given the free sizes; -1 when its own is not among them."""
    return dim if isinstance(dim, int) else int(dim[:-1] or 1) * sizes.get(dim[-1], -1)


def _as_dicts(tree: Any, depth: int = 0) -> Any:
    if hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if isinstance(tree, Mapping):
        if depth == _MAX_DEPTH:
            raise WeightsError(f"weights are nested more than {_MAX_DEPTH} deep")
        return {str(key): _as_dicts(value, depth + 1) for key, value in tree.items()}
    if depth == 0:
        raise WeightsError(f"weights must be a nested dict of arrays, got {type(tree).__name__}")
    return tree


def _check_leaf(where: str, leaf: Any, shape: Shape, sizes: dict[str, int]) -> None:
    found = getattr(leaf, "shape", None)
    if found is None or not hasattr(leaf, "dtype"):
        raise WeightsError(f"{where} is a {type(leaf).__name__}, expected an array {_text(shape)}")
    matches = len(found) == len(shape) and all(
        _matches(size, wanted, sizes) for size, wanted in zip(found, shape, strict=True)
    )
    if not matches:
        known = "".join(f", {symbol} = {size}" for symbol, size in sizes.items())
        raise WeightsError(f"{where} has shape {tuple(found)}, expected {_text(shape)}{known}")
    if leaf.dtype != np.float32:
        raise WeightsError(f"{where} is {leaf.dtype}, expected float32")
    if isinstance(leaf, np.ndarray) and not np.isfinite(leaf).all():
        raise WeightsError(f"{where} has values that are not finite")


def _matches(size: int, wanted: int | str, sizes: dict[str, int]) -> bool:
    """Whether `size` is as wanted; the first use of a free size decides it."""
    if isinstance(wanted, str) and len(wanted) == 1 and 1 <= size <= MAX_FREE_SIZE:
        sizes.setdefault(wanted, size)
    return size == size_of(wanted, sizes)


def _text(shape: Shape) -> str:
    inner = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    return f"({inner})"
