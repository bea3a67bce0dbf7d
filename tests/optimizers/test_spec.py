"""Settings are checked, split by what recompiles, and never change a dtype."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

from optimizers.spec import Choice, Hyperparameter, LogUniform, OptimizerSpec, Uniform

SPEC = OptimizerSpec(
    "toy",
    make=lambda num_steps, rate, power, kind, scale: optax.sgd(rate, momentum=0.9),
    hyperparameters=(
        Hyperparameter("rate", 0.1, LogUniform(1e-3, 1.0)),
        Hyperparameter("power", 2),
        Hyperparameter("kind", "a", Choice(("a", "b"))),
        Hyperparameter("scale", 1.0, static=True),
    ),
)


def test_resolve_fills_in_defaults_and_converts_whole_numbers():
    assert SPEC.resolve({}) == {"rate": 0.1, "power": 2, "kind": "a", "scale": 1.0}
    resolved = SPEC.resolve({"rate": 1, "scale": 3, "kind": "b"})
    assert resolved == {"rate": 1.0, "power": 2, "kind": "b", "scale": 3.0}
    assert type(resolved["rate"]) is type(resolved["scale"]) is float


def test_split_tells_traced_from_static():
    static, traced = SPEC.split(SPEC.resolve({}))
    assert static == {"power": 2, "kind": "a", "scale": 1.0}
    assert traced == {"rate": 0.1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rat": 1.0}, "'toy' has no hyperparameter 'rat'; it has rate, power, kind, scale"),
        ({"rate": "fast"}, "toy: rate must be a number, got 'fast'"),
        ({"rate": True}, "toy: rate must be a number, got True"),
        ({"rate": None}, "toy: rate must be a number, got None"),
        ({"rate": float("nan")}, "toy: rate must be finite, got nan"),
        ({"power": 2.5}, "toy: power must be int, got 2.5"),
        ({"power": True}, "toy: power must be int, got True"),
        ({"kind": "c"}, "toy: kind must be one of a, b, got 'c'"),
    ],
)
def test_wrong_settings_say_what_is_allowed(settings, message):
    with pytest.raises(ValueError, match=message):
        SPEC.resolve(settings)


@pytest.mark.parametrize(
    ("domain", "bounds"),
    [(LogUniform, (0.0, 1.0)), (LogUniform, (2.0, 1.0)), (Uniform, (1.0, 1.0))],
)
def test_empty_domains_are_refused(domain, bounds):
    with pytest.raises(ValueError, match="needs"):
        domain(*bounds)


def test_unknown_needs_are_refused():
    with pytest.raises(ValueError, match=r"needs \['time'\]; a learner can supply progress, key"):
        OptimizerSpec("toy", make=lambda n: optax.identity(), needs=frozenset({"time"}))


def test_traced_hyperparameters_keep_bfloat16_params_and_state():
    params = {"w": jnp.ones(3, jnp.bfloat16)}

    @jax.jit
    def step(rate):
        opt = SPEC.build(10, rate=rate)
        state = opt.init(params)
        return state, *opt.update(params, state, params, value=1.0, unknown=2)

    before, updates, after = step(jnp.float32(0.1))
    assert updates["w"].dtype == jnp.bfloat16
    assert before[0].trace["w"].dtype == after[0].trace["w"].dtype == jnp.bfloat16


def test_state_may_hold_what_cannot_be_cast():
    noisy = OptimizerSpec(
        "noisy", make=lambda num_steps: optax.add_noise(0.1, 0.5, key=jax.random.key(0))
    )
    opt, params = noisy.build(10), jnp.ones(3)
    _, state = opt.update(params, opt.init(params))
    assert int(state.count) == 1
