"""What an optimizer does with its arguments, and what its state looks like."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.gate.numerics.trajectory import Runner, extra_args

STEPS = 5  # a rule may need some until what it was told shows
_UNKNOWN = "an_argument_that_nobody_knows"


def behaviour(runner: Runner, needs: frozenset[str]) -> dict[str, str]:
    """Each argument to what becomes of it, in words that are compared as they are."""
    found = {f"without {name}": _without(runner, needs, name) for name in _arguments(needs)}
    found["unknown arguments"] = _unknown(runner, needs)
    if not runner.course.moves:
        values, grads = runner.course.given
        # Rules that look at the loss may see neither its scale nor its offset, but that it moves.
        plain = runner.one(0, runner.jitted, num_steps=STEPS)
        other = {
            "value": {"given": (np.ones_like(values), grads)},
            "params": {"params": jax.tree.map(lambda x: -3 * x, runner.course.params)},
        }
        for name, changed in other.items():
            told = runner.one(0, runner.jitted, num_steps=STEPS, **changed)
            same = np.array_equal(plain, told, equal_nan=True)
            found[name] = "not used" if same else "used"
    return found


def state_tree(runner: Runner) -> dict[str, str]:
    """Path of every leaf of the state to its dtype and shape, for one trajectory's parameters."""
    params = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), runner.course.params
    )
    leaves = jax.tree.leaves_with_path(jax.eval_shape(runner.optimizer.init, params))
    return {
        jax.tree_util.keystr(path): f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
        for path, leaf in leaves
    }


def _arguments(needs: frozenset[str]) -> list[str]:
    return ["params", "value", *sorted(needs)]


def _without(runner: Runner, needs: frozenset[str], name: str) -> str:
    return _attempt(lambda: _traced(runner, needs, leave_out=name), "works")


def _unknown(runner: Runner, needs: frozenset[str]) -> str:
    def same() -> None:
        if _traced(runner, needs) != _traced(runner, needs, **{_UNKNOWN: jnp.float32(1)}):
            raise _NoticedError

    return _attempt(same, "ignored")


class _NoticedError(Exception):
    """An update that depends on what should be ignored."""


def _attempt(act: Any, done: str) -> str:
    try:
        act()
    except _NoticedError:
        return "used"
    except Exception as error:  # whatever an optimizer raises is what it does
        return f"raises {type(error).__name__}"
    return done


def _traced(runner: Runner, needs: frozenset[str], leave_out: str = "", **more: Any) -> str:
    """The program of one update."""
    params = jax.tree.map(lambda x: jnp.asarray(x[0]), runner.course.params)
    extra = extra_args(needs, jnp.int32(0), {}) | {"value": jnp.float32(1)} | more
    extra.pop(leave_out, None)
    told = None if leave_out == "params" else params

    def update(grads: Any, state: Any, params: Any) -> Any:
        return runner.optimizer.update(grads, state, params, **extra)

    return str(jax.make_jaxpr(update)(params, runner.optimizer.init(params), told))
