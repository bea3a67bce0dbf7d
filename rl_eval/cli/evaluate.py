"""`rl-eval evaluate`: whole games by a trained policy, on flavours of its game it never saw too."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.table import Table

from rl_eval.cli.exits import DONE
from rl_eval.config import Policy
from rl_eval.records.run import write_json
from rl_eval.run.flavours import Row
from rl_eval.terminal import Console


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Play whole games with a trained policy. The run's directory is only read."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run directory of one seed."""
    flavours: str | None = None
    """Atari: all, default, or MODE:DIFFICULTY,... beside the flavour it was trained on."""
    episodes: int | None = None
    """Games per flavour. Default: as in the run's own evaluations."""
    policy: Policy | None = None
    """Default: as in the run's own evaluations."""
    checkpoint: Literal["last", "best"] = "last"
    """The newest policy, or the one that did best in an evaluation."""
    trust_code: bool = False
    """Import what the run names as module:attribute."""
    out: Path | None = None
    """JSON file to write the result to as well."""
    json: bool = False
    """Print one JSON object as the last line."""


def run(args: Evaluate) -> int:
    """Exit code of the command."""
    from rl_eval.setup.evaluating import evaluate, outside

    if args.out is not None:
        outside(args.run, args.out)
        args.out.parent.mkdir(parents=True, exist_ok=True)
    played = evaluate(
        args.run,
        flavours=args.flavours,
        episodes=args.episodes,
        policy=args.policy,
        checkpoint=args.checkpoint,
        trust_code=args.trust_code,
    )
    document = played.document
    if args.out is not None:
        write_json(args.out, document)
    _print(Console(stderr=args.json), document, played.flavours)
    if args.json:
        print(json.dumps(document, allow_nan=False))
    return DONE


def _print(console: Console, document: dict[str, Any], rows: Sequence[Row]) -> None:
    frames = "" if document["frames"] is None else f" ({document['frames']:,} frames)"
    title = (
        f"{document['env']} after {document['env_steps']:,} env steps{frames}: "
        f"{document['policy']} policy, {document['episodes']} games each; ± standard error"
    )
    console.print(title, highlight=False, soft_wrap=True)
    flavoured = rows[0].mode is not None
    switches = ("mode", "difficulty") if flavoured else ()
    table = Table()
    for column in (*switches, "return", "length (env steps)", *(["drop"] if flavoured else [])):
        table.add_column(column, justify="right")
    for row in rows:
        cells = [f"{row.return_mean:,.2f} ± {row.return_se:,.2f}", f"{row.length_mean:,.1f}"]
        if flavoured:
            drop = "trained on" if row.trained_on else f"{row.drop:,.2f} ± {row.drop_se:,.2f}"
            cells = [str(row.mode), str(row.difficulty), *cells, drop]
        table.add_row(*cells)
    console.print(table)
