"""A run of every optimizer, whole and in two halves with a process of its own for the second.

    python halves.py first FOLDER; python halves.py second FOLDER

The second prints the leaves that differ from the whole run's, and fails if there are any.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from optimizers.registry import BUILT_IN
from rl_eval.config import alone, config_id
from rl_eval.records.run import RunDirectory
from rl_eval.run import checkpoint
from rl_eval.run.build import build, start
from rl_eval.run.member import Member
from rl_eval.setup.configure import resolve
from rl_eval.setup.optimizer import prepare

ITERATIONS = 6
SMALL = ("num_envs=2", "num_steps=8", "num_minibatches=2", "update_epochs=1", "hidden_sizes=[4]")


def parts(name):
    config, _ = resolve(
        env="CartPole-v1",
        optimizer=name,
        flags={"total_timesteps": ITERATIONS * 16},
        assignments=SMALL,
    )
    optimizer = prepare(config).optimizer
    built = build(config, optimizer)
    return config, built.population, start(alone(config), built, optimizer)


def first(name, folder):
    config, population, state = parts(name)
    state, _ = population.run(state, ITERATIONS // 2)
    Member(config, 0, RunDirectory(folder), None).save(state, None, ITERATIONS // 2, 0.0)
    state, _ = population.run(state, ITERATIONS - ITERATIONS // 2)
    np.savez(folder / "whole.npz", **checkpoint.named_leaves(state))


def second(name, folder):
    """Names of the leaves that are not bit for bit what the whole run has."""
    config, population, state = parts(name)
    saved = checkpoint.load(folder / "checkpoints", ITERATIONS // 2, config_id(config))
    state = checkpoint.fill(state, saved, "['state']")
    state, _ = population.run(state, ITERATIONS - ITERATIONS // 2)
    leaves = checkpoint.named_leaves(state)
    with np.load(folder / "whole.npz") as whole:
        assert set(whole.files) == set(leaves)
        return [key for key in whole.files if whole[key].tobytes() != leaves[key].tobytes()]


if __name__ == "__main__":
    half, root = sys.argv[1], Path(sys.argv[2])
    different = []
    for spec in BUILT_IN:
        directory = root / spec.name
        if half == "first":
            directory.mkdir(parents=True)
            first(spec.name, directory)
        else:
            different += [f"{spec.name}: {leaf}" for leaf in second(spec.name, directory)]
            print(spec.name)
    sys.exit("\n".join(different) or 0)
