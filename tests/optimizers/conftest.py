"""Weights for every learned optimizer, so that each can be built."""

from __future__ import annotations

import jax
import pytest

from optimizers import weights


@pytest.fixture(scope="session")
def _untrained_weights(tmp_path_factory):
    """A folder of small untrained weights for the rules that ship without any."""
    folder = tmp_path_factory.mktemp("weights")
    for i, name in enumerate(sorted(set(weights.TEMPLATES) - set(weights.manifest()))):
        with jax.disable_jit():  # one draw each is not worth compiling
            theta = weights.initial(name, jax.random.key(i), H=8, P=4, D=4)
        weights.save(folder / f"{name}.msgpack", theta)
    return folder


@pytest.fixture(scope="module")
def all_weights(_untrained_weights):
    """Shipped weights where there are any, untrained ones for the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RL_EVAL_WEIGHTS", str(_untrained_weights))
        yield
