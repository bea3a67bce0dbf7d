"""The self-test of envpool's XLA interface. Runs in a process of its own: it may end in an abort.

    python -P -m rl_eval.envs.xla_selftest

What fails before STARTED is written says nothing of the interface: an import, a full memory.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rl_eval.envs.base import Layout, closed
from rl_eval.envs.envpool import AtariEnv
from rl_eval.envs.protocols import CLASSIC
from rl_eval.envs.xla_check import STARTED

GAME = "Pong-v5"


def check() -> None:
    """Step a pool inside a jitted scan and compare it with its twin on the host.

    Raises:
        AssertionError: they differ.
    """
    layout = Layout(2)
    with closed(AtariEnv(GAME, layout, CLASSIC, jittable=False, reason="self-test")) as hosted:
        host_state, host_obs = hosted.reset()
        actions = np.arange(16, dtype=np.int32).reshape(8, 2) % hosted.num_actions
        steps = []
        for action in actions:
            host_state, step = hosted.step(host_state, action)
            steps.append(step)
    jax.block_until_ready(jnp.zeros(1) + 1)  # the device answers
    print(STARTED, flush=True)
    with closed(AtariEnv(GAME, layout, CLASSIC, jittable=True, reason="self-test")) as traced:
        state, obs = traced.reset()
        scan = jax.jit(functools.partial(jax.lax.scan, traced.step))
        found = jax.tree.map(np.asarray, scan(state, jnp.asarray(actions))[1])
    np.testing.assert_array_equal(obs, host_obs)
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


if __name__ == "__main__":
    check()
