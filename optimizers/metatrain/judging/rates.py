"""Train copies of a task at many learning rates and from many starts, all in one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from optimizers.metatrain import pes
from optimizers.metatrain.tasks.tasks import TaskGroup

Make = Callable[[Float[Array, ""]], optax.GradientTransformation]  # from the number of steps


def mean_losses(
    make: Make,
    group: TaskGroup,
    multiples: Sequence[float],
    key: Key[Array, ""],
    num_steps: int,
    num_seeds: int,
    *,
    linear_decay: bool = False,
) -> Float[Array, "rate task seed"]:
    """Mean over steps of the (saturated) training loss.

    All rates start from the same parameters and see the same batches.

    Args:
        make: the optimizer for a number of steps, step size and sign included.
        group: the tasks.
        multiples: learning rates, as multiples of the optimizer's own step size.
        key: of starts and batches.
        num_steps: inner steps.
        num_seeds: starts per task.
        linear_decay: to zero at the last step; otherwise constant.
    """
    init_key, batch_key = jax.random.split(key)
    shape = (len(group.names), num_seeds)
    opt = optax.with_extra_args_support(make(jnp.float32(num_steps)))

    def step(multiple: Any, batch: Any, params: Any, opt_state: Any) -> Any:
        loss, grads = jax.value_and_grad(group.loss)(params, batch)
        grads = jax.tree.map(jnp.nan_to_num, grads)
        updates, opt_state = opt.update(grads, opt_state, params, value=loss)
        return optax.apply_updates(params, optax.tree.scale(multiple, updates)), opt_state, loss

    by_seed = jax.vmap(step, (None, 0, 0, 0))
    every = jax.vmap(jax.vmap(by_seed, (None, 0, 0, 0)), (0, None, 0, 0))
    rates = jnp.array(multiples, jnp.float32)

    def body(carry: Any, count: Int[Array, ""]) -> Any:
        params, opt_state, total = carry
        rows = group.draw(jax.random.fold_in(batch_key, count), 1, num_seeds)[0]
        left = 1 - count / num_steps if linear_decay else 1.0
        params, opt_state, loss = every(rates * left, group.batch(rows), params, opt_state)
        return (params, opt_state, total + pes.saturate(loss)), None

    start = jax.vmap(jax.vmap(group.init))(jax.random.split(init_key, shape))
    params = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(rates), *x.shape)), start)
    opt_state = jax.vmap(jax.vmap(jax.vmap(opt.init)))(params)
    begin = params, opt_state, jnp.zeros((len(rates), *shape))
    (_, _, total), _ = jax.lax.scan(body, begin, jnp.arange(num_steps))
    return total / num_steps
