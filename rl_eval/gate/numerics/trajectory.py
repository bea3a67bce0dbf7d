"""The updates an optimizer makes along a course, as sketches small enough to keep."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rl_eval.gate.numerics.problems import NUM_STEPS, Course, random
from rl_eval.ppo.update import Progress, optimizer_step

# Maps the number of gradient steps of the run to the optimizer, hyperparameters bound.
Build = Callable[[int], optax.GradientTransformationExtraArgs]
Sketches = Mapping[str, np.ndarray]  # by trajectory, [step, number]

SKETCH = 16  # numbers kept of a leaf
DRAWS = "random_bits"  # in the program of a rule that draws random numbers
_EPOCHS, _MINIBATCHES = 2, 2


def cpu() -> Any:
    """Context in which numbers are computed on the processor, where all machines have one."""
    return jax.default_device(jax.devices("cpu")[0])


class Runner:
    """An optimizer on a course.

    compilations: how often `update` was traced so far; under `jax.jit`, as often as compiled.
    """

    def __init__(self, build: Build, needs: frozenset[str], course: Course) -> None:
        self.course = course
        self.optimizer = build(NUM_STEPS)
        self.compilations = 0
        self._needs = needs
        self.jitted = jax.jit(self.update)

    def update(self, params: Any, state: Any, told: Any, t: Any) -> tuple[Any, Any, Any]:
        """One step of one trajectory: new params, new state, updates.

        The gradient in `told` is computed outside, where its rounding does not depend on the
        optimizer that it would be compiled with.
        """
        self.compilations += 1
        value, grads, activations = told
        extra = extra_args(self._needs, t, activations)
        moved, state, updates = optimizer_step(
            self.optimizer, grads, params, state, value=value, **extra
        )
        return moved if self.course.moves else params, state, updates

    @property
    def draws(self) -> bool:
        """Whether an update draws random numbers."""
        params = _at(self.course.params, 0)
        told = self.course.gradient(params, _at(self.course.given, 0, 0))
        state = self.optimizer.init(params)
        counted = self.compilations
        traced = jax.make_jaxpr(self.update)(params, state, told, jnp.int32(0))
        self.compilations = counted
        return DRAWS in str(traced)

    def one(
        self,
        index: int,
        update: Callable[..., Any],
        *,
        params: Any = None,
        given: Any = None,
        num_steps: int = NUM_STEPS,
    ) -> np.ndarray:
        """Sketches [step, number] of the trajectory of that index, other params or inputs if any.

        Computed in float64 where the parameters are.
        """
        params = _at(self.course.params if params is None else params, index)
        given = self.course.given if given is None else given
        state, rows = self.optimizer.init(params), []
        for t in range(num_steps):
            told = self.course.gradient(params, _at(given, t, index))
            params, state, updates = update(params, state, told, jnp.int32(t))
            rows.append(sketch(updates))
        return np.stack(rows)

    def all(self, update: Callable[..., Any] | None = None, **other: Any) -> dict[str, np.ndarray]:
        """Sketches of every trajectory, one after another."""
        update = update or self.jitted
        return {name: self.one(i, update, **other) for i, name in enumerate(self.course.names)}

    def jittered(self, members: int, jitter: float) -> list[dict[str, np.ndarray]]:
        """All trajectories at once under vmap, as they are and with `jitter` on their gradients.

        Returns:
            `1 + members` runs, the first without jitter.
        """
        course, runs = self.course, 1 + members
        gradient = jax.jit(jax.vmap(course.gradient))
        update = jax.jit(jax.vmap(self.update, in_axes=(0, 0, 0, None)))
        params = _repeated(course.params, runs)
        state, rows = jax.vmap(self.optimizer.init)(params), []
        for t in range(NUM_STEPS):
            given = _repeated(jax.tree.map(lambda x, t=t: x[t], course.given), runs)
            value, grads, activations = gradient(params, given)
            grads = jax.tree.map(jnp.multiply, grads, _factors(course, members, jitter, t))
            told = value, grads, activations
            params, state, updates = update(params, state, told, jnp.int32(t))
            rows.append(np.stack([sketch(member) for member in _members(updates)]))
        sketches = np.stack(rows, axis=1).reshape(runs, len(course.names), NUM_STEPS, -1)
        return [dict(zip(course.names, run, strict=True)) for run in sketches]


def extra_args(needs: frozenset[str], t: Any, activations: Any) -> dict[str, Any]:
    """What a learner would hand to the optimizer at gradient step t, beyond the loss."""
    iteration, step = jnp.divmod(t, _EPOCHS * _MINIBATCHES)
    epoch, minibatch = jnp.divmod(step, _MINIBATCHES)
    sizes = NUM_STEPS // (_EPOCHS * _MINIBATCHES), _EPOCHS, _MINIBATCHES
    offered = {
        "progress": lambda: Progress(iteration, epoch, minibatch, *sizes),
        "key": lambda: jax.random.fold_in(jax.random.key(0), t),
        "activations": lambda: activations,
    }
    return {name: offered[name]() for name in sorted(needs)}


def leaf_names(course: Course) -> tuple[str, ...]:
    leaves = jax.tree.leaves_with_path(course.params)
    return tuple(jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves)


def leaf_sizes(course: Course) -> tuple[int, ...]:
    """How many numbers a sketch has of each leaf."""
    return tuple(min(leaf[0].size, SKETCH) for leaf in jax.tree.leaves(course.params))


def sketch(tree: Any) -> np.ndarray:
    """Small leaves as they are; large ones as projections, in which differences keep their size.

    Achlioptas, Database-friendly random projections, 2003: random signs.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # of a leaf that is not finite
        return np.concatenate([_sketched(np.asarray(x, np.float64)) for x in jax.tree.leaves(tree)])


def _sketched(leaf: np.ndarray) -> np.ndarray:
    flat = leaf.ravel()
    return flat if flat.size <= SKETCH else _signs(flat.size) @ flat / np.sqrt(flat.size)


@functools.cache
def _signs(size: int) -> np.ndarray:
    return np.sign(random((SKETCH, size), "sketch"))


def _factors(course: Course, members: int, jitter: float, t: int) -> Any:
    """What gradients are multiplied by: leaves [run * trajectory, ...], 1 for the first run."""

    def leaf(path: Any, x: np.ndarray) -> Any:
        noise = random((members, *x.shape), f"jitter {t} {jax.tree_util.keystr(path)}")
        factors = np.concatenate([np.ones_like(x)[None], 1 + jitter * noise])
        return jnp.asarray(factors.reshape(-1, *x.shape[1:]), x.dtype)

    return jax.tree.map_with_path(leaf, course.params)


def _at(tree: Any, *index: int) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x[index]), tree)


def _repeated(tree: Any, times: int) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(np.concatenate([x] * times)), tree)


def _members(tree: Any) -> list[Any]:
    tree = jax.tree.map(np.asarray, tree)
    return [jax.tree.map(lambda x, i=i: x[i], tree) for i in range(len(jax.tree.leaves(tree)[0]))]
