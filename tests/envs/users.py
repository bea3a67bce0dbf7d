"""Gymnasium environments as users write them, registered on import; and some that go wrong."""

from __future__ import annotations

import subprocess
from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

ENVIRONMENTS = {}


class Base(gymnasium.Env):
    """The reward is the action; a game is 20 steps long."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Discrete(2)
    length = 20

    def __init_subclass__(cls):
        ENVIRONMENTS[f"{cls.__name__}-v0"] = cls

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.obs(), {}

    def obs(self):
        return self.np_random.normal(size=3).astype(np.float32)

    def step(self, action):
        self.t += 1
        return self.obs(), float(action), self.t >= self.length, False, {}


class Plain(Base):
    pass


class Start(Base):
    action_space = spaces.Discrete(3, start=-1)
    observation_space = spaces.Discrete(5, start=2)

    def obs(self):
        return int(self.np_random.integers(2, 7))

    def step(self, action):
        assert self.action_space.contains(action), action
        return super().step(action)


class F64(Base):
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float64)

    def obs(self):
        return self.np_random.normal(size=3) * 1e3

    def step(self, action):
        obs, _, over, *rest = super().step(action)
        return obs, 1, over, *rest


class Image(Base):
    observation_space = spaces.Box(0, 255, (16, 16, 3), np.uint8)

    def obs(self):
        return self.np_random.integers(0, 256, (16, 16, 3), dtype=np.uint8)


class OneAction(Base):
    action_space = spaces.Discrete(1)


class Scalar(Base):
    observation_space = spaces.Box(-10, 10, (), np.float32)

    def obs(self):
        return np.float32(0.5)


class ListObs(Base):
    def obs(self):
        return [1.0, 2.0, 3.0]


class Prints(Base):
    def reset(self, **kwargs):
        print("reset!")
        return super().reset(**kwargs)


class Grid(Base):
    def __init__(self, size, walls=False):
        self.length = size


class DictObs(Base):
    observation_space = spaces.Dict(a=spaces.Box(0, 1, (2,)), b=spaces.Discrete(3))


class TupleObs(Base):
    observation_space = spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)])


class MultiObs(Base):
    observation_space = spaces.MultiDiscrete([3, 4])


class MultiAct(Base):
    action_space = spaces.MultiDiscrete([2, 3])


class DictAct(Base):
    action_space = spaces.Dict(a=spaces.Discrete(2))


class Continuous(Base):
    action_space = spaces.Box(-1, 1, (2,))


class BadInit(Base):
    def __init__(self):
        raise FileNotFoundError(2, "No such file or directory", "map.json")


class Raises(Base):
    def step(self, action):
        if self.t == 3:
            raise RuntimeError("simulator lost\nits licence")
        return super().step(action)


class WrongShape(Base):
    def obs(self):
        return np.zeros(4, np.float32)


class Endless(Base):
    length = 10**12


class Process(Base):
    """A simulator behind a process; the sixth cannot be started where `most` says so."""

    alive: ClassVar = []
    most = None

    def __init__(self):
        if self.most is not None and len(self.alive) >= self.most:
            raise RuntimeError("no licence left")
        self.process = subprocess.Popen(["sleep", "300"])
        self.alive.append(self.process)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.alive.remove(self.process)


for name, made in ENVIRONMENTS.items():
    if name not in gymnasium.registry:
        gymnasium.register(id=name, entry_point=made, disable_env_checker=True)
