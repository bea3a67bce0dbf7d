"""What is killed: small commands, how each is gone on with, and what must come out the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SMALL = ["--set", "num_envs=4", "--set", "num_steps=32"]
CARTPOLE = ["--env", "CartPole-v1", *SMALL]
SPACE = """description: two rates
design: grid
points: 2
optimizer:
  learning_rate: {log_uniform: [1e-4, 1e-2]}
"""
TIMES = {"wall_s", "sps", "time", "compile_s", "run_dir"}  # differ from run to run


@dataclasses.dataclass(frozen=True)
class Subject:
    """A command.

    begin, resume: arguments of rl-eval, from the directory.
    mark: the file that says there is something to resume; without it the command is given again.
    outcome: what must be equal to that of the undisturbed one.
    """

    begin: Callable[[Path], list[str]]
    resume: Callable[[Path], list[str]]
    mark: str
    outcome: Callable[[Path], Any]


def _train(out: Path) -> list[str]:
    return [
        *("train", *CARTPOLE, "--total-timesteps", "25600", "--seeds", "0,1"),
        *("--eval-every", "6400", "--eval-episodes", "4", "--checkpoint-seconds", "0"),
        *("--no-cost", "--out", str(out)),
    ]


def _sweep(out: Path) -> list[str]:
    space = out.with_name("space.yaml")
    space.write_text(SPACE)
    steps = ["--total-timesteps", "12800", "--seeds", "2", "--workers", "2"]
    return ["sweep", "--space", str(space), *CARTPOLE, *steps, "--out", str(out)]


def _compare(out: Path) -> list[str]:
    return [
        *("compare", *CARTPOLE, "--optimizers", "adamw,sgd", "--seeds", "2", "--workers", "2"),
        *("--total-timesteps", "12800", "--no-cost", "--out", str(out)),
    ]


def _gate(out: Path) -> list[str]:
    tiers = ["--tiers", "numerics", "--work", str(out / "work"), "--out", str(out / "base.json")]
    return ["gate", "record", "--optimizer", "sgd", *tiers]


def _metatrain(out: Path) -> list[str]:
    return ["meta-train", "--out", str(out), "--iterations", "60", "--tasks", "digits"]


def lines(out: Path) -> Any:
    """Every line of every run below a directory, times apart."""
    return {
        str(file.relative_to(out)): [
            {k: v for k, v in json.loads(line).items() if k not in TIMES}
            for line in file.read_text().splitlines()
        ]
        for name in ("metrics.jsonl", "eval.jsonl")
        for file in sorted(out.rglob(name))
    }


def statuses(out: Path) -> Any:
    """How every run below a directory ended, and its lines."""
    ended = {
        str(file.relative_to(out)): {
            k: v for k, v in json.loads(file.read_text()).items() if k not in TIMES
        }
        for file in sorted(out.rglob("status.json"))
    }
    return ended, lines(out)


def _numerics(out: Path) -> Any:
    document = json.loads((out / "base.json").read_text())
    return sorted(document["numerics"]), document["release"]["code"]


def _theta(out: Path) -> Any:
    rows = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    losses = [(row["iteration"], row["meta_loss"]) for row in rows]
    return losses, (out / "theta.msgpack").read_bytes()


SUBJECTS = {
    "train": Subject(_train, lambda o: ["train", "--resume", str(o)], "", statuses),
    "sweep": Subject(_sweep, lambda o: ["sweep", "--resume", str(o)], "sweep.json", statuses),
    "compare": Subject(
        _compare, lambda o: ["compare", "--resume", str(o), "--no-cost"], "compare.json", statuses
    ),
    "gate": Subject(_gate, _gate, "", _numerics),
    "meta-train": Subject(
        _metatrain, lambda o: ["meta-train", "--resume", str(o)], "config.json", _theta
    ),
}


def can_resume(name: str, out: Path) -> bool:
    """Whether there is something to go on with."""
    if name == "train":
        return any(out.glob("seed-*/config.json"))
    mark = SUBJECTS[name].mark
    return bool(mark) and (out / mark).exists()


def equal(a: Any, b: Any) -> bool:
    """Whether two outcomes are the same; NaN is itself."""
    return bool(np.array_equal(repr(a), repr(b)))
