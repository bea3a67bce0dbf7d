"""What the numerics tier keeps of an optimizer, and what it says of another one."""

from __future__ import annotations

import dataclasses
import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rl_eval.gate.numerics import step_cost, tier
from rl_eval.gate.numerics.behaviour import behaviour
from rl_eval.gate.numerics.problems import NUM_STEPS, courses
from rl_eval.gate.numerics.subject import Subject
from rl_eval.gate.numerics.trajectory import Runner
from rl_eval.settings import SettingsError, read

NETWORK = frozenset({"activations"})  # a rule that has them runs on one course only: quick


def sgd(num_steps):
    """Momentum, and a rate that falls."""
    rate = optax.linear_schedule(1e-3, 0.0, num_steps)
    return optax.with_extra_args_support(optax.sgd(rate, 0.9))


def of_update(update, init=lambda params: ()):
    """A build from an update function."""
    return lambda num_steps: optax.GradientTransformationExtraArgs(init, update)


@pytest.fixture(scope="module")
def recorded():
    return tier.record(Subject(sgd, NETWORK))


def by_check(build, recorded):
    return {f.check: f for f in tier.check(Subject(build, NETWORK), recorded)}


def test_a_record_survives_json_and_is_small(recorded):
    text = json.dumps(dataclasses.asdict(recorded), allow_nan=False)
    assert len(text) < 300_000
    assert read(tier.Numerics, json.loads(text), "test") == recorded


def test_records_of_other_problems_and_damaged_ones_are_refused(recorded):
    plain = dataclasses.asdict(recorded)
    with pytest.raises(SettingsError, match="record the baseline again"):
        read(tier.Numerics, plain | {"protocol": 0}, "test")
    name = next(iter(plain["trajectories"]))
    for key, value in (("sketches", "AAAA"), ("tolerances", "%"), ("sizes", [1])):
        trajectory = plain["trajectories"][name] | {key: value}
        damaged = plain | {"trajectories": plain["trajectories"] | {name: trajectory}}
        with pytest.raises(SettingsError):
            read(tier.Numerics, damaged, "test")


def test_the_problems_are_those_of_this_protocol():
    """Whoever changes them must raise PROTOCOL: recorded baselines do not fit any more."""
    crc = 0
    for course in courses(frozenset()):
        for leaf in jax.tree.leaves((course.params, course.given)):
            crc = zlib.crc32(leaf.astype("<f4").tobytes(), crc)
    assert (tier.PROTOCOL, crc) == (1, 419170473)


def test_rosenbrock_has_its_known_value_and_slope():
    course = next(c for c in courses(frozenset()) if c.names == ("rosenbrock",))
    value, grads, _ = course.gradient({"x": jnp.array([-1.2, 1.0])}, ())
    np.testing.assert_allclose(value, 24.2, rtol=1e-6)
    np.testing.assert_allclose(grads["x"], [-215.6, -88.0], rtol=1e-5)


def test_a_candidate_that_raises_is_a_regression_and_says_why(recorded):
    def update(grads, state, params=None, **extra):
        raise RuntimeError("no such leaf")

    found = by_check(of_update(update), recorded)
    assert found["trajectory mlp"].verdict == "regression"
    assert found["trajectory mlp"].detail == "raises RuntimeError: no such leaf"


def test_it_says_which_argument_is_treated_otherwise(recorded):
    trusted = sgd(NUM_STEPS)

    def update(grads, state, params=None, *, value, activations):
        return trusted.update(jax.tree.map(lambda g: g * value, grads), state, params)

    found = by_check(of_update(update, trusted.init), recorded)["arguments"]
    assert found.verdict == "regression"
    assert found.detail.startswith("without value: works, now raises TypeError and ")


def test_arguments_that_are_used_are_told_from_ignored_ones():
    def update(grads, state, params=None, *, value=1.0, **extra):
        return jax.tree.map(lambda g, p: -(g + 0.1 * p) * value, grads, params), state

    runner = Runner(of_update(update), frozenset(), courses(frozenset())[0])
    assert behaviour(runner, frozenset()) == {
        "without params": "raises ValueError",
        "without value": "works",
        "unknown arguments": "ignored",
        "value": "used",
        "params": "used",
    }


def test_an_update_that_compiles_anew_is_a_regression(recorded):
    trusted = sgd(NUM_STEPS)

    def init(params):
        momentum, schedule = trusted.init(params)
        return momentum, schedule._replace(count=jnp.asarray(0))  # weakly typed at first

    found = by_check(of_update(trusted.update, init), recorded)
    assert found["compilations"].verdict == "regression"
    assert found["state tree"].verdict == "pass"


def test_state_of_another_layout_is_named(recorded):
    trusted = optax.sgd(1e-3, 0.9, accumulator_dtype=jnp.bfloat16)
    found = by_check(lambda _: optax.with_extra_args_support(trusted), recorded)["state tree"]
    assert found.verdict == "regression"
    assert "hidden']['bias']: float32[9] became bfloat16[9]" in found.detail


def test_a_step_is_compared_on_other_hardware_too_with_twice_the_factor(recorded):
    factor = recorded.step_ratio_factor
    build = sgd
    ratio = step_cost.step_ratio(build, frozenset())
    for times, verdict in ((4.0, "regression"), (0.25, "pass")):
        then = ratio / (times * factor * tier.ELSEWHERE)
        elsewhere = dataclasses.replace(recorded, hardware="another machine", step_ratio=then)
        found = tier.check_cost(build, frozenset(), elsewhere)[1]
        assert (found.check, found.verdict) == ("step time", verdict)
        assert "recorded on another machine" in found.detail


def test_rules_that_need_more_are_fed():
    needs = frozenset({"progress", "key", "activations"})

    def update(grads, state, params=None, *, value, progress, key, activations):
        share = progress.iteration / progress.num_iterations
        noise = 1 + 0.1 * jax.random.normal(key) + activations["hidden"].mean()
        return jax.tree.map(lambda g: -0.1 * (1 - share) * noise * g, grads), state

    recorded = tier.record(Subject(of_update(update), needs))
    assert list(recorded.trajectories) == ["mlp"]
    assert recorded.step_ratio is None
    found = tier.check(Subject(of_update(update), needs), recorded)
    assert {f.verdict for f in found} == {"pass", "skipped"}
    assert found[0].detail == "same"


def test_state_bytes_are_those_of_adamw():
    params = sum(4 * int(np.prod(shape)) for shape in step_cost.SHAPES.values())
    assert step_cost.state_bytes(step_cost.adamw) == 2 * params + 4
