"""The command line: picks a subcommand and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Any

import tyro

from optimizers.weights import WeightsError
from rl_eval.cli import (
    compare,
    doctor,
    evaluate,
    gate,
    listing,
    meta_train,
    record,
    report,
    sweep,
    train,
)
from rl_eval.cli.exits import FAILED, INTERRUPTED, TERMINATED, USAGE
from rl_eval.errors import ExplainedError
from rl_eval.run.stop import Terminated
from rl_eval.settings import SettingsError

_Command = (
    Annotated[train.Train, tyro.conf.subcommand("train")]
    | Annotated[evaluate.Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[record.Record, tyro.conf.subcommand("record")]
    | Annotated[meta_train.MetaTrain, tyro.conf.subcommand("meta-train")]
    | Annotated[sweep.Sweep, tyro.conf.subcommand("sweep")]
    | Annotated[compare.Compare, tyro.conf.subcommand("compare")]
    | Annotated[report.Report, tyro.conf.subcommand("report")]
    | Annotated[gate.Gate, tyro.conf.subcommand("gate")]
    | Annotated[listing.Envs, tyro.conf.subcommand("envs")]
    | Annotated[listing.Optimizers, tyro.conf.subcommand("optimizers")]
    | Annotated[doctor.Doctor, tyro.conf.subcommand("doctor")]
)

_RUN: dict[type, Any] = {
    train.Train: train.run,
    evaluate.Evaluate: evaluate.run,
    record.Record: record.run,
    meta_train.MetaTrain: meta_train.run,
    sweep.Sweep: sweep.run,
    compare.Compare: compare.run,
    report.Report: report.run,
    gate.Gate: gate.run,
    listing.Envs: listing.envs,
    listing.Optimizers: listing.optimizers,
    doctor.Doctor: doctor.run,
}


def _terminate(signum: int, frame: object) -> None:
    raise Terminated


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 failed, 2 wrong usage, 3 diverged, 130/143 stopped.

    The gate: 0 pass, 1 regression, 4 inconclusive.
    """
    signal.signal(signal.SIGTERM, _terminate)
    args: Any = tyro.cli(_Command, prog="rl-eval", description=__doc__, args=argv)
    try:
        code = _RUN[type(args)](args)
    except SettingsError as error:
        print(f"rl-eval: {error}", file=sys.stderr)
        code = USAGE
    except (WeightsError, ExplainedError) as error:
        print(f"rl-eval: {error}", file=sys.stderr)
        code = FAILED
    except KeyboardInterrupt:
        print("rl-eval: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except Terminated:
        print("rl-eval: terminated", file=sys.stderr)
        code = TERMINATED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:  # a full disk, a folder that may not be written
        place = f"{error.filename}: " if error.filename else ""
        print(f"rl-eval: {place}{error.strerror or error}", file=sys.stderr)
        code = FAILED
    except Exception as error:
        if os.environ.get("RL_EVAL_TRACEBACK"):
            raise
        print(f"rl-eval: {type(error).__name__}: {error}", file=sys.stderr)
        print("rl-eval: set RL_EVAL_TRACEBACK=1 to see where", file=sys.stderr)
        code = FAILED
    sys.exit(code)


if __name__ == "__main__":
    main()
