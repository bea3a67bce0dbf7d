"""The same optimizer under other circumstances: threads of another process, float64."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

from rl_eval.gate.numerics.problems import courses
from rl_eval.gate.numerics.spread import Spawn, variants, with_other_threads
from rl_eval.gate.numerics.step_cost import adamw
from rl_eval.gate.numerics.trajectory import Runner, cpu

NETWORK = frozenset({"activations"})  # one course only: quick
RULE = """
import os
import optax

def build(num_steps, rate):
    if int(os.environ["NPROC"]) == {here}:
        raise RuntimeError("no other number of threads")
    return optax.with_extra_args_support(optax.adamw(rate))
"""


@pytest.fixture
def rule(tmp_path, monkeypatch):
    """A module of a folder that other processes look in as well."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NPROC", "3")
    (tmp_path / "a_rule_elsewhere.py").write_text(RULE.format(here=3))
    return "a_rule_elsewhere:build"


def test_another_process_has_other_threads_and_the_same_updates(rule):
    found = with_other_threads(Spawn(rule, {"rate": 1e-3}), NETWORK)
    with cpu():
        (course,) = courses(NETWORK)
        here = Runner(adamw, NETWORK, course).all()
    assert list(found) == ["mlp"]
    np.testing.assert_allclose(found["mlp"], here["mlp"], rtol=1e-4, atol=1e-7)


def test_the_reason_is_told_when_the_other_process_fails(rule):
    with pytest.raises(RuntimeError, match=r"a_rule_elsewhere:build .* argument 'speed'"):
        with_other_threads(Spawn(rule, {"speed": 1.0}), NETWORK)


def test_an_optimizer_that_cannot_take_float64_is_recorded_without():
    plain = optax.adamw(1e-3)

    def update(grads, state, params=None, **extra):
        if jax.tree.leaves(grads)[0].dtype == np.float64:
            raise TypeError("float32 only")
        return plain.update(grads, state, params)

    found, left_out = variants(
        lambda _: optax.GradientTransformationExtraArgs(plain.init, update), NETWORK, None
    )
    assert set(found) == {"vmap", "jitter"}
    assert left_out["float64"] == "TypeError: float32 only"
    assert "threads" in left_out
