"""A user's optimizer that fails: before the run, at its start, or after it has ended well."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import optax
import pytest

from rl_eval.ppo.learner import Optimizer
from rl_eval.run import cost, runner
from rl_eval.settings import SettingsError
from rl_eval.setup.configure import resolve

SMALL = ("num_envs=2", "num_steps=8", "num_minibatches=1", "update_epochs=1", "hidden_sizes=[4]")


def config():
    flags = {"total_timesteps": 16}
    return resolve(env="CartPole-v1", optimizer="sgd", flags=flags, assignments=SMALL)[0]


def train(make, out, **options):
    return runner.train(config(), Optimizer(make), out, {}, runner.Options(**options))


def rule(init=lambda params: (), update=lambda grads, state, params=None: (grads, state)):
    return lambda num_steps, numbers: optax.with_extra_args_support(
        optax.GradientTransformation(init, update)
    )


def test_an_infinite_number_reaches_the_rule_from_its_words():
    told = Optimizer(lambda *_: None, traced={"clip": 1.0})  # type: ignore[arg-type, return-value]
    assert told.numbers({"clip": "inf", "kind": "a"}) == {"clip": float("inf")}


def test_a_rule_that_does_not_fit_the_network_is_refused_before_anything_is_written(tmp_path):
    def update(grads, state, params=None):
        raise KeyError("policy")

    with pytest.raises(SettingsError, match="optimizer 'sgd': KeyError: 'policy'"):
        train(rule(update=update), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_rule_that_raises_when_its_state_is_made_leaves_the_reason(tmp_path):
    def refuse(count):
        raise RuntimeError("no licence")

    def init(params):
        return jax.pure_callback(refuse, jax.ShapeDtypeStruct((), jnp.float32), jnp.float32(0))

    with pytest.raises(jax.errors.JaxRuntimeError, match="no licence"):
        train(rule(init=init), tmp_path / "run", cost=False)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed"
    assert "no licence" in status["reason"]


def test_a_cost_that_cannot_be_timed_does_not_fail_a_run_that_has_ended(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("no clock")

    monkeypatch.setattr(cost, "_step_ms", fail)
    told: list[str] = []
    key = jax.random.key(0)
    result = train(rule(init=lambda params: key), tmp_path / "run", notify=told.append)
    assert result[0].status == "completed"
    assert told == ["the optimizer's step could not be timed: RuntimeError: no clock"]
    found = json.loads((tmp_path / "run" / "cost.json").read_text())
    assert found["optimizer_step_ms"] is None
    assert found["state_bytes"] == 8  # two words of a key
