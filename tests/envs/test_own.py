"""Environments of the user's own: what can be learned from, and what is said of all else."""

from __future__ import annotations

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envs import users
from gymnax.environments import environment, spaces

from rl_eval.envs import registry
from rl_eval.envs.gymnasium import SimulatorError
from rl_eval.envs.registry import describe, make_env, register_env, register_from


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    for name in users.ENVIRONMENTS:
        register_from(users, f"users:{name}")


def rolled(env, steps=25):
    state, obs = env.reset()
    for _ in range(steps):
        state, step = env.step(state, np.zeros(env.num_envs, np.int32))
    return obs, step


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "actions"),
    [
        ("Start", (5,), np.bool_, 3),
        ("F64", (3,), np.float32, 2),
        ("Image", (16, 16, 3), np.uint8, 2),
        ("OneAction", (3,), np.float32, 1),
        ("Scalar", (), np.float32, 2),
        ("ListObs", (3,), np.float32, 2),
        ("Prints", (3,), np.float32, 2),
    ],
)
def test_what_can_be_learned_from_is_played(name, shape, dtype, actions):
    env = make_env(f"users:{name}-v0", num_envs=2)
    obs, step = rolled(env)
    assert (env.observation.shape, env.num_actions) == (shape, actions)
    assert (obs.shape, obs.dtype, step.reward.dtype) == ((2, *shape), dtype, np.float32)
    env.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("DictObs", r"has observations Dict\(.*FlattenObservation makes a Box"),
        ("TupleObs", r"has observations Tuple\(.*FlattenObservation makes a Box"),
        ("MultiObs", r"has observations MultiDiscrete\(.*FlattenObservation makes a Box"),
        ("MultiAct", r"has actions MultiDiscrete\(\[2 3\]\); Discrete ones are needed: .*number"),
        ("DictAct", r"has actions Dict\('a': Discrete\(2\)\); Discrete ones are needed: .*number"),
        ("Continuous", r"has actions Box\(.*\); Discrete ones are needed$"),
        ("BadInit", r"cannot be made: FileNotFoundError: .*'map.json' \(.*users.py:\d+\)$"),
        ("Grid", r"missing 1 required.*'size'.*; its arguments are size, walls: --env-kwargs size"),
    ],
)
def test_what_cannot_is_refused_in_one_line_that_helps(name, message):
    with pytest.raises(ValueError, match=rf"^'users:{name}-v0' .*{message}") as raised:
        make_env(f"users:{name}-v0", num_envs=2)
    assert "\n" not in str(raised.value)


def test_what_an_environment_raises_is_told_as_its_own():
    env = make_env("users:Raises-v0", num_envs=2)
    with pytest.raises(
        SimulatorError,
        match=r"^'users:Raises-v0' failed in step 4 of a pool of 2: RuntimeError: simulator lost "
        r"its licence \(.*users.py:\d+\)$",
    ):
        rolled(env)
    with pytest.raises(SimulatorError, match=r"failed in reset: .*; it declares .*\(3,\)"):
        rolled(make_env("users:WrongShape-v0", num_envs=2))


@pytest.mark.parametrize("env_id", ["users:Grid-v0", "grid", "grid-maker"])
def test_arguments_reach_the_constructor(env_id):
    register_env("grid", users.Grid)
    register_env("grid-maker", lambda **kwargs: users.Grid(**kwargs))
    env = make_env(env_id, num_envs=2, kwargs={"size": 4})
    state, _ = env.reset()
    over = []
    for _ in range(8):
        state, step = env.step(state, np.zeros(2, np.int32))
        over.append(bool(step.terminated.all()))
    assert over == [False, False, False, True] * 2
    with pytest.raises(ValueError, match="unexpected keyword argument 'sise'"):
        make_env(env_id, num_envs=1, kwargs={"sise": 4})


@pytest.mark.parametrize("env_id", ["probe/both", "CartPole-v1", "Pong-v5", "ALE/Pong-v5"])
def test_arguments_that_an_environment_does_not_take_are_refused(env_id):
    with pytest.raises(ValueError, match=rf"{env_id}.*size"):
        make_env(env_id, num_envs=1, kwargs={"size": 4})


def test_gymnax_takes_its_parameters_as_arguments():
    env = make_env("CartPole-v1", num_envs=1, kwargs={"max_steps_in_episode": 3})
    _, step = rolled(env, 3)
    assert step.truncated.all()
    assert make_env("CartPole-v1", num_envs=1)._params.max_steps_in_episode == 500


@dataclasses.dataclass(frozen=True)
class Params:
    goal: int = 3
    max_steps_in_episode: int = 10


jax.tree_util.register_dataclass(Params, ["goal", "max_steps_in_episode"], [])


class Walk(environment.Environment):
    """A corridor in JAX: action 1 goes a step on; the reward is 1 at the goal."""

    num_actions = 2

    def __init__(self, scale=1.0):
        self.scale = scale

    @property
    def default_params(self):
        return Params()

    def action_space(self, params):
        return spaces.Discrete(2)

    def reset_env(self, key, params):
        state = environment.EnvState(time=0), jnp.int32(0)
        return jnp.zeros(1), state

    def step_env(self, key, state, action, params):
        time, place = state[0].time + 1, state[1] + action
        over = place >= params.goal
        reward = jnp.where(over, self.scale, 0.0)
        state = environment.EnvState(time=time), place
        return jnp.full(1, place, jnp.float32), state, reward, over, {}

    def is_truncated(self, state, params):
        return state[0].time >= params.max_steps_in_episode


@pytest.mark.parametrize("made", [Walk(), Walk, lambda scale=1.0: Walk(scale)])
def test_a_gymnax_environment_is_taken_as_object_class_or_function(made):
    register_env("walk", made)
    assert describe("walk").inside_jit({})
    env = make_env("walk", num_envs=2)
    assert (env.jittable, env.observation.shape) == (True, (1,))
    state, _ = env.reset()
    steps = jax.jit(lambda s: jax.lax.scan(env.step, s, jnp.ones((6, 2), jnp.int32))[1])(state)
    np.testing.assert_array_equal(steps.reward[:, 0], [0, 0, 1, 0, 0, 1])
    assert steps.terminated[2].all()


def test_its_parameters_and_its_constructor_take_arguments():
    register_env("object", Walk())
    register_env("class", Walk)
    assert make_env("object", num_envs=1, kwargs={"goal": 1})._params.goal == 1
    assert make_env("class", num_envs=1, kwargs={"scale": 2.0})._env.scale == 2
    with pytest.raises(ValueError, match="no parameter gaol; it has goal, max_steps_in_episode"):
        make_env("object", num_envs=1, kwargs={"gaol": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action_space": lambda self, p: spaces.Box(0, 1, (2,))}, "has Box actions; Discrete"),
        (
            {"step_env": lambda *args: 1 / 0},
            r"fails when .* traced: ZeroDivisionError: .* \(.*test_own.py:\d+\)$",
        ),
        ({"step_env": lambda self, k, s, a, p: (jnp.zeros(1), s, 0.0, False)}, "must return obs"),
        (
            {"step_env": lambda self, k, s, a, p: (jnp.zeros(2), s, 0.0, False, {})},
            r"observation of reset_env is float32\[1\], that of step_env float32\[2\]",
        ),
        (
            {"reset_env": lambda self, k, p: ({"a": k}, (environment.EnvState(0), 0))},
            "observes a dict of arrays",
        ),
    ],
)
def test_what_does_not_keep_to_the_interface_is_told(change, message):
    register_env("broken", type("Broken", (Walk,), change)())
    with pytest.raises(ValueError, match=rf"^'broken'.*{message}"):
        make_env("broken", num_envs=1)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (users.Plain(), "give the class Plain, or a function that makes one"),
        (3, "3 is none: expected a gymnax environment"),
        ("CartPole-v1", "is none: expected a gymnax environment"),
    ],
)
def test_what_is_no_environment_is_refused_when_it_is_registered(found, message):
    with pytest.raises(ValueError, match=f"^environment 'mine': .*{message}"):
        register_env("mine", found)


def test_a_function_that_makes_something_else_is_told_of():
    register_env("mine", lambda: 3)
    with pytest.raises(ValueError, match="'mine' makes a int; expected a Gymnasium or gymnax"):
        make_env("mine", num_envs=1)


def test_a_name_in_a_module_is_found_by_what_it_means():
    register_env("Corridor-v0", Walk())
    for env_id in ("users:Corridor-v0", "users:Plain", "users:Plain-v0"):
        register_from(users, env_id)
        make_env(env_id, num_envs=1).close()
    assert describe("users:Corridor-v0").jittable
    with pytest.raises(ValueError, match=r"'Plian-v0' was neither registered by .*Plain-v0"):
        register_from(users, "users:Plian-v0")


def test_closing_a_pool_ends_the_processes_of_its_environments(monkeypatch):
    env = make_env("users:Process-v0", num_envs=3)
    assert len(users.Process.alive) == 3
    env.close()
    assert users.Process.alive == []
    monkeypatch.setattr(users.Process, "most", 2)
    with pytest.raises(ValueError, match="no licence left"):
        make_env("users:Process-v0", num_envs=3)
    assert users.Process.alive == []
    monkeypatch.setattr(users.Process, "most", None)
    with pytest.raises(ValueError, match="from the host"):
        make_env("users:Process-v0", num_envs=3, path="xla")
    assert users.Process.alive == []


def threads():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Threads"))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="threads are counted there")
@pytest.mark.parametrize("env_id", ["Pong-v5", "ALE/Pong-v5"])
def test_closing_a_pool_ends_the_threads_of_its_emulators(env_id):
    make_env(env_id, num_envs=1, path="host").close()  # whatever the library keeps for good
    before = threads()
    for _ in range(3):
        env = make_env(env_id, num_envs=4, path="host")
        env.reset()
        assert threads() > before
        env.close()
    assert threads() == before
