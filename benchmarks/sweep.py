"""How much faster a sweep is than the same runs as commands, one after another.

    python benchmarks/sweep.py [--trials 16] [--env Breakout-MinAtar] [--total-timesteps 1e5]

Both ways begin with an empty compilation cache of their own, which the commands share among them as
the workers do. Needs a machine with nothing else to do. Prints one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tyro

RL_EVAL = (sys.executable, "-m", "rl_eval.cli.main")


@dataclasses.dataclass(frozen=True)
class Args:
    """What to run."""

    trials: int = 16
    env: str = "Breakout-MinAtar"
    optimizer: str = "adamw"
    total_timesteps: float = 1e5


def main(args: Args) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sweep, alone = Path(folder, "sweep"), Path(folder, "alone")
        what = ["--env", args.env, "--total-timesteps", str(args.total_timesteps)]
        command = ["sweep", "--preset", "sensitivity", *what, "--optimizers", args.optimizer]
        command += ["--trials", str(args.trials), "--out", str(sweep)]
        sweep_s = seconds(Path(folder, "cache-sweep"), [command])
        configs = sorted(sweep.glob("trials/*/seed-0/config.json"))
        runs = [
            ["train", "--config", str(config), "--out", str(alone / str(i))]
            for i, config in enumerate(configs)
        ]
        train_s = seconds(Path(folder, "cache-alone"), runs)
    found = {**dataclasses.asdict(args), "cores": os.cpu_count()}
    found |= {"sweep_s": sweep_s, "train_s": train_s, "ratio": sweep_s / train_s}
    print(json.dumps(found))


def seconds(cache: Path, commands: list[list[str]]) -> float:
    """How long the commands take in turn; a diverged run (exit code 3) is one that was run."""
    env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    begun = time.perf_counter()
    for command in commands:
        done = subprocess.run([*RL_EVAL, *command], env=env, stdout=sys.stderr)
        if done.returncode not in (0, 3):
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    return round(time.perf_counter() - begun, 1)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
