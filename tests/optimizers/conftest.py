"""Weights for every learned optimizer, so that each can be built."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from optimizers import weights


@pytest.fixture(scope="session")
def _untrained_weights(tmp_path_factory):
    """A folder of small random weights for the rules that ship without any."""
    folder, normal = tmp_path_factory.mktemp("weights"), np.random.default_rng(0).normal
    for name in sorted(set(weights.TEMPLATES) - set(weights.manifest())):
        draw = functools.partial(weights.initial, name, H=8, P=4, D=4)
        shapes = jax.eval_shape(draw, jax.random.key(0))
        theta = jax.tree.map(lambda x: normal(0.0, 0.3, x.shape).astype(np.float32), shapes)
        weights.save(folder / f"{name}.msgpack", theta)
    return folder


@pytest.fixture(scope="module")
def all_weights(_untrained_weights):
    """Shipped weights where there are any, untrained ones for the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RL_EVAL_WEIGHTS", str(_untrained_weights))
        yield
