"""`rl-eval record`: a film of a trained policy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_eval.cli.exits import DONE
from rl_eval.config import Policy
from rl_eval.terminal import Console


@dataclasses.dataclass(frozen=True)
class Record:
    """Film a trained policy: an mp4 and a GIF. The run's directory is only read."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run directory of one seed."""
    episodes: int = 1
    """Games to film, one after another."""
    policy: Policy | None = None
    """Default: as in the run's own evaluations."""
    checkpoint: Literal["last", "best"] = "last"
    """The newest policy, or the one that did best in an evaluation."""
    trust_code: bool = False
    """Import what the run names as module:attribute."""
    out: Path = Path("videos")
    """Directory for the two files; a film of the same policy is replaced."""


def run(args: Record) -> int:
    """Exit code of the command."""
    from rl_eval.setup.evaluating import record

    made = record(
        args.run,
        args.out,
        episodes=args.episodes,
        policy=args.policy,
        checkpoint=args.checkpoint,
        trust_code=args.trust_code,
    )
    console = Console(highlight=False)
    for game in made.games:
        console.print(f"return {game.total:,.2f} in {game.length:,} env steps")
    console.print(f"{made.mp4}: {made.pictures:,} pictures", soft_wrap=True)
    cut = "" if made.gif_pictures == made.pictures else "the first "
    console.print(f"{made.gif}: {cut}{made.gif_pictures:,} pictures", soft_wrap=True)
    return DONE
