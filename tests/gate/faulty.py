"""AdamW and Celo2-base with one thing wrong each, and AdamW written in other words.

`FAULTS` at the end are of a small rule of its own, cheap to compile, and each shows on one axis.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
import pytest

from optimizers import celo2_base as celo2_base_rule
from optimizers.learned.parts import celo2_network
from optimizers.references import as_spec
from optimizers.spec import OptimizerSpec

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


@dataclasses.dataclass(frozen=True)
class Now:
    """What a fault may look at: gradients, parameters, steps done, hyperparameters, their number,
    and what else `update` was told."""

    grads: Any
    params: Any
    count: Any
    hyper: dict[str, Any]
    num_steps: int
    extra: dict[str, Any]


def plain_make(
    num_steps,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: Literal["linear", "constant"] = "linear",
):
    """Momentum, decoupled decay, and a rate that falls to zero."""
    end = 0.0 if schedule == "linear" else learning_rate
    rate = optax.linear_schedule(learning_rate, end, num_steps)
    return optax.chain(
        optax.trace(momentum),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )


PLAIN = as_spec("plain", plain_make)


def with_fault(fault: Callable[[Any, Now], Any]) -> OptimizerSpec:
    """The plain rule, and what a fault makes of its updates."""

    def make(num_steps, **hyper):
        inner = plain_make(num_steps, **hyper)

        def update(grads, state, params=None, **extra):
            updates, new = inner.update(grads, state[1], params)
            now = Now(grads, params, state[0], hyper, num_steps, extra)
            return fault(updates, now), (state[0] + 1, new)

        return optax.GradientTransformationExtraArgs(
            lambda params: (jnp.int32(0), inner.init(params)), update
        )

    return dataclasses.replace(PLAIN, make=make)


def on_leaves(change: Callable[[Any, Any], Any], where: Callable[[Any], bool]) -> Any:
    """A fault of those leaves alone: `change(update, now)`."""
    return lambda updates, now: jax.tree.map(lambda u: change(u, now) if where(u) else u, updates)


def frozen(update, now):
    return 0 * update


def flipped(update, now):
    return -update


def under_vmap(rule):
    """A leaf function that is nothing alone and `rule` over the axis of members."""

    @jax.custom_batching.custom_vmap
    def same(x):
        return x

    same.def_vmap(lambda size, batched, x: (rule(x), True))
    return lambda updates, now: jax.tree.map(same, updates)


def at_step(wrong, when):
    """A leaf function from `when(count)` on."""
    return lambda updates, now: jax.tree.map(
        lambda u: jnp.where(when(now.count), wrong(u), u), updates
    )


def by_rate(factor):
    """The schedule's rate at other steps: `factor(count, num_steps)` of what is right."""

    def fault(updates, now):
        right = 1 - now.count / now.num_steps
        times = factor(now.count, now.num_steps) / jnp.where(right > 0, right, 1.0)
        return jax.tree.map(lambda u: u * times, updates)

    return fault


def counted_in(dtype):
    """The rate by a counter of that type, which wraps or stops."""

    def rate(count, num_steps):
        if dtype == jnp.float16:
            count = jnp.minimum(count, 2048)  # where adding one changes nothing any more
        return 1 - count.astype(dtype).astype(jnp.float32) / num_steps

    return by_rate(rate)


def named(part, change):
    """A fault of the leaves whose path contains `part`."""
    return lambda updates, now: jax.tree.map_with_path(
        lambda path, u: change(u, now) if part in jax.tree_util.keystr(path) else u, updates
    )


def at_place(place, least=0):
    """The leaf at that place is frozen, in trees of at least so many."""

    def fault(updates, now):
        leaves, treedef = jax.tree.flatten(updates)
        if len(leaves) > max(place, least):
            leaves[place] = 0 * leaves[place]
        return jax.tree.unflatten(treedef, leaves)

    return fault


def no_decay(update, now):
    """As if the decay of this leaf had been forgotten; of a rule's updates, by its rate."""
    return update * jnp.where(now.hyper["weight_decay"] > 0, 0.9, 1.0)


def scratch(updates, now):
    """336 kB that are sorted for nothing."""
    waste = jnp.sort(jnp.sin(jnp.arange(84_000) * (1.0 + now.count)))
    return jax.tree.map(lambda u: u + 0 * waste[7].astype(u.dtype), updates)


KEPT: list[Any] = []


def keeps(updates, now):
    """Appends to a list of the process at every step."""

    def keep(x):
        KEPT.append(float(x))
        return x

    count = jax.pure_callback(
        keep, jax.ShapeDtypeStruct((), jnp.int32), now.count, vmap_method="sequential"
    )
    return jax.tree.map(lambda u: u + (count - now.count).astype(u.dtype), updates)


def slower(updates, now):
    """Works the longer the more steps were taken."""
    turns = now.count // 500
    waste = jax.lax.fori_loop(0, turns, lambda i, x: jnp.sin(x + i), 1.0)
    return jax.tree.map(lambda u: u + 0 * waste.astype(u.dtype), updates)


def not_told(updates, now):
    if "value" not in now.extra:
        raise TypeError("no value")
    return updates


def of_loss(updates, now):
    low = now.extra.get("value", 1.0) < 0
    return jax.tree.map(lambda u: jnp.where(low, 0 * u, u), updates)


def in_dtype(name, factor):
    return lambda updates, now: jax.tree.map(
        lambda u, g: factor * u if g.dtype == name else u, updates, now.grads
    )


def mean_of(updates, now):
    """Every leaf's mean is taken, and an empty one has none."""
    means = [u.mean() for u in jax.tree.leaves(updates)]
    return jax.tree.map(lambda u: u + 0 * sum(means).astype(u.dtype), updates)


# By the check that must say so.
FAULTS: dict[str, dict[str, Any]] = {
    "members": {
        "all get the first one's": under_vmap(lambda x: jnp.broadcast_to(x[:1], x.shape)),
        "all get the mean": under_vmap(lambda x: 0 * x + x.mean(0)),
        "they are rolled": under_vmap(lambda x: jnp.roll(x, 1, 0)),
        "the fifth stands still": under_vmap(lambda x: x.at[4:].set(0)),
    },
    "names and order": {
        "a name": named("Dense_2", frozen),
        "another name": named("embedding", flipped),
        "the third place": at_place(2),
        "the last of many": at_place(-1, least=33),
    },
    "effect of dtypes": {
        "bfloat16 a hundred times": in_dtype(jnp.bfloat16, 100),
        "float16 turned": in_dtype(jnp.float16, -1),
    },
    "settings": {
        "decay of vectors": on_leaves(no_decay, lambda u: u.ndim == 1),
        "decay of embeddings": named("embedding", no_decay),
        "no momentum is some": lambda updates, now: jax.tree.map(
            lambda u: u * jnp.where(now.hyper["momentum"] < 0.5, 0.99, 1), updates
        ),
    },
    "schedule=constant": {
        "another rate": lambda updates, now: jax.tree.map(
            lambda u: 0.99 * u if now.hyper["schedule"] == "constant" else u, updates
        ),
    },
    "gradients": {
        "NaN is hidden": lambda updates, now: jax.tree.map(jnp.nan_to_num, updates),
        "zero is not": lambda updates, now: jax.tree.map(
            lambda u, g: u + jnp.where(g == 0, 1e-8, 0).astype(u.dtype), updates, now.grads
        ),
    },
    "losses": {"negative ones": of_loss},
    "no loss": {"raises": not_told},
    "empty leaf": {"mean of nothing": mean_of},
    "sizes": {
        "matrices of 128 and more": on_leaves(
            frozen, lambda u: u.ndim >= 2 and min(u.shape[-2:]) >= 128
        ),
        "more than a million": on_leaves(flipped, lambda u: u.size > 1_000_000),
        "kernels of 8x8": on_leaves(flipped, lambda u: u.ndim == 4 and u.shape[0] == 8),
        "scalars": on_leaves(frozen, lambda u: u.ndim == 0),
        "five axes": on_leaves(flipped, lambda u: u.ndim == 5),
        "long vectors": on_leaves(frozen, lambda u: u.ndim == 1 and u.size > 1000),
    },
    "many leaves": {
        "more than 32": lambda updates, now: (
            jax.tree.map(lambda u: 0.5 * u, updates)
            if len(jax.tree.leaves(updates)) > 32
            else updates
        ),
    },
    "long run": {
        "NaN after 100,000": at_step(lambda u: u + jnp.nan, lambda t: t >= 100_000),
        "one step a hundredfold": at_step(lambda u: 100 * u, lambda t: t == 123_456),
        "no fall after 1,000": by_rate(lambda t, n: 1 - jnp.minimum(t, 1000) / n),
        "starts again": by_rate(lambda t, n: 1 - (t % (3 * n // 4)) / n),
        "lags": by_rate(lambda t, n: 1 - 0.99 * t / n),
        "int8 counter": counted_in(jnp.int8),
        "int16 counter": counted_in(jnp.int16),
        "float16 counter": counted_in(jnp.float16),
    },
    "long run alone": {"slower and slower": slower},
    "host memory": {"keeps a number": keeps},
    "scratch memory": {"sorts for nothing": scratch},
}
