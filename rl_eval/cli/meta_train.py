"""`rl-eval meta-train`: make weights of a learned optimizer on one machine, and judge them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from optimizers import metatrain, weights
from optimizers.metatrain import rules
from optimizers.metatrain.checkpoint import CheckpointError
from optimizers.metatrain.judging import metric
from optimizers.metatrain.tasks import tasks
from optimizers.weights import WeightsError
from rl_eval.cli.exits import DONE, INTERRUPTED
from rl_eval.records.lock import locked
from rl_eval.settings import SettingsError
from rl_eval.terminal import Console

PLAIN_ITERATIONS = 100  # between two lines where there is no terminal


@dataclasses.dataclass(frozen=True)
class MetaTrain:
    """Meta-train a learned optimizer by persistent evolution strategies."""

    out: Path | None = None
    """Run directory; theta.msgpack in it is what `--set weights=` takes."""
    resume: Path | None = None
    """Go on with the run in this directory; its own settings hold."""
    evaluate: str | None = None
    """Weights (name or path) to compare with Adam on --tasks and with AdamW on held-out tasks."""
    config: Annotated[metatrain.MetaTrainConfig, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=metatrain.MetaTrainConfig
    )


def run(args: MetaTrain) -> int:
    """Exit code: 130 where the run was stopped and can be resumed."""
    if sum(x is not None for x in (args.out, args.resume, args.evaluate)) != 1:
        raise SettingsError(
            "meta-train needs one of --out for a new run, --resume for an old one and --evaluate "
            "for weights"
        )
    console = Console()
    try:
        if args.evaluate is not None:
            return _evaluate(args.evaluate, args.config, console)
        return _train(args, console)
    except WeightsError:
        raise
    except (FileExistsError, CheckpointError, ValueError) as error:
        raise SettingsError(str(error)) from None
    except ModuleNotFoundError as error:
        raise SettingsError(f"{error}: pip install 'rl-eval[metatrain]'") from None


def _train(args: MetaTrain, console: Console) -> int:
    folder = args.resume or args.out
    assert folder is not None
    if args.resume is None:
        _check(args.config)
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise SettingsError(f"--resume {folder}: there is no such directory")
    with locked(folder), _live(console) as show:
        if args.resume is not None:
            outcome = metatrain.resume(folder, show)
        else:
            outcome = metatrain.train(args.config, folder, show)
    if not outcome.finished:
        console.print(f"stopped at {outcome.iteration:,}: rl-eval meta-train --resume {folder}")
        return INTERRUPTED
    console.print(f"{outcome.iteration:,} iterations: {folder / 'theta.msgpack'}")
    return DONE


def _check(config: metatrain.MetaTrainConfig) -> None:
    """Names that mean nothing are refused before anything is written.

    Raises:
        ValueError: an unknown optimizer or task.
    """
    rules.get(config.optimizer)
    for name in config.tasks:
        tasks.resolve(name, config.hidden, config.batch_size)


def _evaluate(ref: str, config: metatrain.MetaTrainConfig, console: Console) -> int:
    """Two Markdown tables: the fixed-seed metric, then the held-out tasks."""
    rule, theta = rules.get(config.optimizer), weights.load(ref, config.optimizer)
    inner = [tasks.resolve(name, config.hidden, config.batch_size) for name in config.tasks]
    groups = tasks.group_tasks(inner)
    scores = {rule.name: metric.scorer(rule, groups)(theta), "adam": metric.adam(groups)}
    heading = f"{ref}: mean loss over {', '.join(config.tasks)}"
    print(f"{heading}\n\n{metric.to_markdown(scores)}\n", flush=True)  # the rest takes minutes
    errors = Console(stderr=True)
    rows = metatrain.evaluate(theta, rule, progress=lambda row: errors.print(_row(row)))
    print(metatrain.to_markdown(rows))
    return DONE


def _row(row: metatrain.Row) -> str:
    rate, loss = row.best
    return f"{row.task}: {row.optimizer} {loss:.4f} at {rate:.1e}"


@contextmanager
def _live(console: Console) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A bar on a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        yield lambda row: _line(console, row)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("meta-train", total=None, facts="compiling ...")

        def show(row: Mapping[str, Any]) -> None:
            if "best" in row:
                console.print(_metric(row))
            else:
                iterations = row["iterations"]
                bar.update(task, completed=row["iteration"], total=iterations, facts=_facts(row))

        yield show


def _facts(row: Mapping[str, Any]) -> str:
    return (
        f"{row['iteration']:,}/{row['iterations']:,}  meta-loss {row['meta_loss']:.3f}  "
        f"{row['iterations_per_hour']:,.0f}/h"
    )


def _metric(row: Mapping[str, Any]) -> str:
    return f"{row['iteration']:,}: loss {row['best']:.4f} at the best single learning rate"


def _line(console: Console, row: Mapping[str, Any]) -> None:
    if "best" in row:
        console.print(_metric(row), highlight=False)
    elif row["iteration"] % PLAIN_ITERATIONS == 0 or row["iteration"] == row["iterations"]:
        console.print(_facts(row), highlight=False)
