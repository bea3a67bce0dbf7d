"""What optimizers are compared on: fixed gradient streams and four small problems.

All numbers come from raw bits, whose sequence numpy guarantees, by arithmetic that rounds alike
everywhere: every machine and every version of numpy has the same ones.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NUM_STEPS = 20
# Gradients near the epsilons in use (1e-10 to 1e-3), or their squares near them, show where one is.
MAGNITUDES = (1e4, 1.0, 1e-2, 1e-3, 1e-4, 1e-5, 1e-7, 1e-10)
SPARSE, TAILED = "stream with zero rows", "stream of all magnitudes"
# No two axes of a leaf are equal where a rule may tell them apart, matrices lie both ways, and one
# leaf is large: learned rules compute those by other code.
SHAPES = {
    "bias": (5,),
    "conv": (3, 3, 2, 4),
    "large": (80, 64),
    "scale": (),
    "wide": (4, 10),
}


class Course(NamedTuple):
    """Trajectories over one tree of parameters.

    Attributes:
        names: of the trajectories.
        params: where they start, leaves [trajectory, ...].
        given: what `gradient` is handed at each step, leaves [step, trajectory, ...].
        gradient: (params, given of this step) to (value, grads, activations) of one trajectory.
        moves: whether updates are added to the parameters. In a stream nothing feeds back.
    """

    names: tuple[str, ...]
    params: Any
    given: Any
    gradient: Callable[[Any, Any], tuple[Any, Any, Any]]
    moves: bool


@functools.cache
def courses(needs: frozenset[str]) -> tuple[Course, ...]:
    """All of them, not to be written to; for rules that read activations, the network alone."""
    network = Course(("mlp",), _start("mlp", _MLP), (), _gradient(_mlp), moves=True)
    if "activations" in needs:
        return (network,)
    alone = {"quadratic": _quadratic, "rosenbrock": _rosenbrock, "logistic": _logistic}
    problems = [
        Course((name,), _start(name, _ALONE[name]), (), _gradient(loss), moves=True)
        for name, loss in alone.items()
    ]
    return streams(), *problems, network


def streams() -> Course:
    """Gradients that do not depend on the parameters."""
    names = (*(f"stream of {magnitude:.0e}" for magnitude in MAGNITUDES), SPARSE, TAILED)
    steps = range(NUM_STEPS)
    grads = [stack([_stream(name, i, t) for i, name in enumerate(names)]) for t in steps]
    values = np.array(
        [[4 - 0.125 * t + 0.5 * (7 * t % 5) + i for i in range(len(names))] for t in steps]
    )
    params = stack([random_tree(SHAPES, f"params {name}") for name in names])
    given = values.astype(np.float32), stack(grads)
    return Course(names, params, given, lambda params, told: (*told, {}), moves=False)


def random(shape: tuple[int, ...], stream: str) -> np.ndarray:
    """Numbers of mean 0 and variance 1 within +-3.5, the same everywhere; float64."""
    size = int(np.prod(shape, dtype=int))
    bits = np.random.PCG64(zlib.crc32(stream.encode())).random_raw(4 * size)
    uniform = (np.asarray(bits) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    a, b, c, d = uniform.reshape(4, *shape)
    return np.asarray((a + b + c + d - 2) * np.sqrt(3.0))


def random_tree(shapes: Any, stream: str) -> Any:
    """Float32 leaves of these shapes."""
    return jax.tree.map_with_path(
        lambda path, shape: random(shape, stream + jax.tree_util.keystr(path)).astype(np.float32),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def stack(trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _stream(name: str, index: int, t: int) -> Any:
    """Gradient number t: half of it stays, so that momentum has something to find."""
    fresh, steady = (random_tree(SHAPES, f"{name} {part}") for part in (t, "steady"))
    mixed = jax.tree.map(lambda a, b: np.asarray(0.5 * a + 0.5 * b), fresh, steady)
    if index < len(MAGNITUDES):
        return jax.tree.map(lambda g: np.float32(MAGNITUDES[index]) * g, mixed)
    if name == SPARSE:
        return jax.tree.map(lambda g: _without_rows(g, t), mixed)
    return jax.tree.map(_tailed, mixed)


def _without_rows(g: np.ndarray, t: int) -> np.ndarray:
    """Every third row (of the last two axes) never moves, every other one not at odd steps."""
    rows = np.arange(g.shape[-2])[:, None] if g.ndim > 1 else np.arange(g.size).reshape(g.shape)
    return np.where((rows % 3 > 0) & ((rows + t) % 2 > 0), g, np.float32(0))


def _tailed(g: np.ndarray) -> np.ndarray:
    """Elements from 1e-8 to 10, all in one leaf."""
    decades = np.array([1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0], np.float32)
    return np.asarray(g * decades[np.arange(g.size).reshape(g.shape) % 10])


_ALONE: dict[str, Any] = {
    "quadratic": {"x": (4, 6)},
    "rosenbrock": {"x": (2,)},
    "logistic": {"bias": (3,), "kernel": (7, 3)},
}
_MLP = {
    "hidden": {"bias": (9,), "kernel": (3, 9)},
    "out": {"bias": (2,), "kernel": (9, 2)},
}


def _start(name: str, shapes: Any) -> Any:
    params = random_tree(shapes, name)
    if name == "rosenbrock":
        params = {"x": np.array([-1.2, 1.0], np.float32)}
    return jax.tree.map(lambda x: x[None], params)


def _gradient(loss: Callable[[Any], tuple[Any, Any]]) -> Callable[[Any, Any], Any]:
    @jax.jit
    def gradient(params: Any, given: Any) -> tuple[Any, Any, Any]:
        del given
        (value, activations), grads = jax.value_and_grad(loss, has_aux=True)(params)
        return value, grads, activations

    return gradient


def _quadratic(params: Any) -> tuple[Any, Any]:
    """Curvatures from 0.01 to 100."""
    curvature = jnp.asarray(10.0 ** np.linspace(-2, 2, 24).reshape(4, 6), params["x"].dtype)
    return 0.5 * jnp.sum(curvature * params["x"] ** 2), {}


def _rosenbrock(params: Any) -> tuple[Any, Any]:
    x, y = params["x"]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2, {}


def _logistic(params: Any) -> tuple[Any, Any]:
    """Three classes, 32 points."""
    kernel, bias = params["kernel"], params["bias"]
    points = random((32, 7), "points")
    classes = np.argmax(points @ random((7, 3), "classes"), axis=1)
    logits = jnp.asarray(points, kernel.dtype) @ kernel + bias
    picked = jax.nn.one_hot(classes, 3, dtype=kernel.dtype)
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * picked, axis=1)), {}


def _mlp(params: Any) -> tuple[Any, Any]:
    """Regression of two smooth functions, 24 points."""
    kernel = params["hidden"]["kernel"]
    points = random((24, 3), "inputs")
    targets = np.stack([np.abs(points).sum(1), points.prod(1)], axis=1)
    hidden = jnp.tanh(jnp.asarray(points, kernel.dtype) @ kernel + params["hidden"]["bias"])
    out = hidden @ params["out"]["kernel"] + params["out"]["bias"]
    error = out - jnp.asarray(targets, kernel.dtype)
    return jnp.mean(error**2), {"hidden": hidden, "out": out}
