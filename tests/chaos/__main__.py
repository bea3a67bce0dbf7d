"""Kill commands and read hostile files for some minutes; exit 1 if anything was lost.

    python -m tests.chaos --minutes 10 --seed 0

Each command is killed by SIGKILL at a random moment (alone, or with one or all of its workers),
gone on with, and compared with one that nobody disturbed. Files of a run are damaged at random and
read again: the reader must say so in one of its own errors, soon, and in bounded memory.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import hostile, kills
from tests.chaos.subjects import SUBJECTS

FILES_SHARE = 0.2  # of the time


def main() -> int:
    """Exit code: 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="default: of the clock")
    parser.add_argument("--only", default=None, help=f"of {', '.join([*SUBJECTS, 'files'])}")
    parser.add_argument("--keep", type=Path, default=None, help="folder for what is lost")
    args = parser.parse_args()
    seed = time.time_ns() % 10**9 if args.seed is None else args.seed
    names = args.only.split(",") if args.only else [*SUBJECTS, "files"]
    print(f"seed {seed}", flush=True)
    chance, tallies = random.Random(seed), {}
    with tempfile.TemporaryDirectory(prefix="rl-eval-chaos-") as folder:
        work = Path(folder)
        begun, commands = time.monotonic(), [name for name in names if name != "files"]
        share = (FILES_SHARE if commands else 1.0) if "files" in names else 0.0
        if share:
            tallies["files"] = hostile.attack(work, share * args.minutes * 60, seed)
        deadline = begun + args.minutes * 60
        tallies |= kills.attack(commands, work, deadline, chance, args.keep)
    return report(tallies)


def report(tallies: dict[str, kills.Tally]) -> int:
    """Print a row each, as docs/reliability.md has them."""
    print("| what | tried | survived | lost |\n|---|---|---|---|")
    for name, tally in tallies.items():
        print(f"| {name} | {tally.tried} | {tally.tried - len(tally.lost)} | {len(tally.lost)} |")
    for name, tally in tallies.items():
        for reason in tally.lost:
            print(f"{name}: {reason}")
    return 1 if any(tally.lost for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
