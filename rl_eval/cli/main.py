"""The command line: picks a subcommand and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Annotated, Any

import tyro

from optimizers.references import OptimizerWarning
from optimizers.weights import WeightsError
from rl_eval import devices
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
from rl_eval.cli.exits import FAILED, INTERRUPTED, USAGE
from rl_eval.errors import ExplainedError
from rl_eval.run.stop import Terminated, raise_terminated
from rl_eval.settings import SettingsError
from rl_eval.terminal import steady
from rl_eval.text import printable
from sweeps.execution.places import leave_gpus_to_workers

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


_WITH_WORKERS = (sweep.Sweep, compare.Compare, gate.Gate)
_COMPUTING = (train.Train, evaluate.Evaluate, record.Record, *_WITH_WORKERS)


def _warning(message: Any, category: type, filename: str, lineno: int, line: Any = None) -> str:
    """Ours in one line; others as Python shows them."""
    if issubclass(category, OptimizerWarning):
        return f"rl-eval: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 failed, 2 wrong usage, 3 diverged.

    128 and the signal's number where it was stopped. The gate: 0 pass, 1 regression, 4
    inconclusive.
    """
    raise_terminated()
    warnings.formatwarning = _warning
    with steady() as failures:
        code = _outcome(argv)
    for failure in failures:
        print(f"rl-eval: output: {failure.strerror or failure}", file=sys.stderr)
        code = code or FAILED
    sys.exit(code)


def _outcome(argv: list[str] | None) -> int:
    """Exit code of a command; errors are told in one line."""
    try:
        _refuse_bytes(sys.argv[1:] if argv is None else argv)
        args: Any = tyro.cli(_Command, prog="rl-eval", description=__doc__, args=argv)
        if devices.trouble() is None:
            devices.with_processor()
        if isinstance(args, _WITH_WORKERS):
            leave_gpus_to_workers()
        if isinstance(args, _COMPUTING):
            devices.keep_compiled(_say)
        return int(_RUN[type(args)](args))
    except SettingsError as error:
        _say(devices.trouble() or str(error))
        return USAGE
    except (WeightsError, ExplainedError) as error:
        _say(str(error))
        return FAILED
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except Terminated as error:
        _say("terminated" if error.signal == signal.SIGTERM else f"terminated by {error}")
        return 128 + error.signal
    except OSError as error:  # a full disk, a folder that may not be written
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror or error}")
        return FAILED
    except Exception as error:
        if os.environ.get("RL_EVAL_TRACEBACK"):
            raise
        if (why := devices.trouble()) is not None:
            _say(why)
            return USAGE
        _say(f"{type(error).__name__}: {error}")
        _say("set RL_EVAL_TRACEBACK=1 to see where")
        return FAILED


def _say(text: str) -> None:
    print(f"rl-eval: {printable(text)}", file=sys.stderr)


def _refuse_bytes(argv: list[str]) -> None:
    """Paths that are not UTF-8 cannot be written into records.

    Raises:
        SettingsError: the first, here or of the working directory.
    """
    for text in (*argv, os.getcwd()):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"{text!r} is not UTF-8; rename it") from None


if __name__ == "__main__":
    main()
