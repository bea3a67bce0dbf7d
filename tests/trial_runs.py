"""Configurations and lines of the small runs that workers' tests train."""

from __future__ import annotations

import json

from rl_eval.setup.configure import resolve

OPTIMIZER = "schedule-free-adamw"  # which evaluates other parameters than it trains
SMALL = ("num_envs=4", "num_steps=16", "hidden_sizes=[8]", "log_every=2")


def config_of(rate, gamma, seed, optimizer=OPTIMIZER):
    flags = {
        "total_timesteps": 512,
        "seeds": [seed],
        "evaluation": {"every": 256, "episodes": 4},
        "optimizer": {"hyperparameters": {"learning_rate": rate}},
        "hparams": {"gamma": gamma},
    }
    return resolve(env="CartPole-v1", optimizer=optimizer, flags=flags, assignments=SMALL)[0]


def lines(run, name="metrics.jsonl"):
    rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("wall_s", "sps")} for row in rows]
