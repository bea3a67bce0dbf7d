"""AdamW and Celo2-base with one thing wrong each, and AdamW written in other words."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from optimizers import celo2_base as celo2_base_rule
from optimizers.learned.parts import celo2_network

PEAK, B1, B2, DECAY, EPS = 1e-2, 0.9, 0.999, 0.1, 1e-8


def rate(count, num_steps):
    """Falls linearly from PEAK to 0."""
    return PEAK * (1 - count / num_steps)


def trusted(num_steps):
    """optax's own, with epsilon inside the root."""
    return optax.with_extra_args_support(
        optax.adamw(lambda count: rate(count, num_steps), B1, B2, 0.0, EPS, weight_decay=DECAY)
    )


@dataclasses.dataclass(frozen=True)
class Formula:
    """How AdamW is computed: rightly, with a fault, or (the last five) the same in other words.

    These are averages as `m + (1 - b)(g - m)`, bias corrections folded into one factor, the rate
    multiplied into each term, and rsqrt for a division by a root.
    """

    sign: int = -1
    eps: float = EPS
    bias_correction: bool = True
    coupled: bool = False
    late: int = 0
    repeats: int = 1
    average_m: bool = False
    average_v: bool = False
    fold: bool = False
    distribute: bool = False
    reciprocal: bool = False

    def normalised(self, m, v, t):
        c1, c2 = (1 - B1**t, 1 - B2**t) if self.bias_correction else (1.0, 1.0)
        if self.fold:
            factor, inside = jnp.sqrt(c2) / c1, self.eps * c2
        else:
            m, v, factor, inside = m / c1, v / c2, 1.0, self.eps
        u = m * jax.lax.rsqrt(v + inside) if self.reciprocal else m / jnp.sqrt(v + inside)
        return u * factor


def average(old, new, decay, other_words):
    return old + (1 - decay) * (new - old) if other_words else decay * old + (1 - decay) * new


def adamw(**how):
    """A build of AdamW by its `Formula`, with the state of optax's."""
    formula = Formula(**how)

    def build(num_steps):
        optimizer = trusted(num_steps)

        def once(grads, state, params):
            adam, schedule = state[0], state[2]
            if formula.coupled:
                grads = jax.tree.map(lambda g, p: g + DECAY * p, grads, params)
            count = adam.count + 1
            m = jax.tree.map(lambda o, g: average(o, g, B1, formula.average_m), adam.mu, grads)
            v = jax.tree.map(lambda o, g: average(o, g * g, B2, formula.average_v), adam.nu, grads)
            step = formula.sign * rate(schedule.count + formula.late, num_steps)
            decay = 0.0 if formula.coupled else DECAY

            def leaf(m, v, p):
                u = formula.normalised(m, v, count.astype(jnp.float32))
                if formula.distribute:
                    return step * u + (step * decay) * p
                return step * (u + decay * p)

            updates = jax.tree.map(leaf, m, v, params)
            adam = adam._replace(count=count, mu=m, nu=v)
            return updates, (adam, state[1], schedule._replace(count=schedule.count + 1))

        def update(grads, state, params, **extra):
            def again(_, done):  # XLA must not know that what it adds is nothing
                late = jax.tree.map(lambda g, u: g + 0.0 * u, grads, done[0])
                return once(late, state, params)

            start = optax.tree.zeros_like((params, state))
            if formula.repeats == 1:
                return again(0, start)
            return jax.lax.fori_loop(0, formula.repeats, again, start)

        return optax.GradientTransformationExtraArgs(optimizer.init, update)

    return build


def celo2_base(num_steps, theta=None):
    return celo2_base_rule(lambda count: rate(count, num_steps), theta, weight_decay=DECAY)


@contextlib.contextmanager
def swapped_rows_and_columns():
    """Celo2's network is handed the row features as column features and the reverse."""
    right = celo2_network.factored_features
    other = {"row": "col", "col": "row", "rsqrt_row": "rsqrt_col", "rsqrt_col": "rsqrt_row"}

    def wrong(v: Any) -> dict[str, Any]:
        features = right(v)
        return {name: features[other[name]] for name in features}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(celo2_network, "factored_features", wrong)
        yield


@contextlib.contextmanager
def larger_epsilon():
    """1e-6 inside the root of the second moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(celo2_network, "_SECOND_MOMENT_EPS", 1e-6)
        yield


def doubled_state(num_steps):
    """The trusted one, which keeps all it keeps twice."""
    optimizer = trusted(num_steps)

    def update(grads, state, params, **extra):
        updates, first = optimizer.update(grads, state[0], params)
        return updates, (first, optimizer.update(grads, state[1], params)[1])

    return optax.GradientTransformationExtraArgs(
        lambda params: (optimizer.init(params), optimizer.init(params)), update
    )


def permuted(theta, order):
    """Celo2's weights with the hidden units in another order: the same function."""
    w = jax.tree.map(jnp.asarray, theta["ff_mod_stack"]["~"])
    first = {name: x[..., order] for name, x in w.items() if name.startswith(("w0", "b0", "b1"))}
    upper = {"w1": w["w1"][order][:, order], "w2": w["w2"][order], "b2": w["b2"]}
    return {"ff_mod_stack": {"~": first | upper}}
