"""What a reader must know to repeat or to doubt a sweep, from the records of its runs."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rl_eval.envs.scores import random_score
from rl_eval.records.table import Table
from rl_eval.report.page import Section
from rl_eval.report.sweep.summary import line
from rl_eval.report.ticks import number
from rl_eval.stats.values import distinct, same

FEW_GAMES = 32  # below, an evaluation is mostly the luck of its games
OF_A_RUN = ("seeds", "env.id", "optimizer.name")  # said elsewhere on the page

ABSENT: Any = object()  # in place of a setting that a run does not have

Settings = dict[str, Any]


def section(table: Table) -> Section | None:
    """Words, and all settings that did not vary; None if no configuration was recorded."""
    found = fixed(table)
    if not found:
        return None
    words = [_budget(found), *_evaluation(found), *_divergence(found), *_pruning(table)]
    body = "".join(f"<p>{html.escape(text)}</p>" for text in words)
    rows = "".join(_rows(found))
    body += (
        "<details><summary>all settings that did not vary</summary>"
        f'<div class="scroll"><table class="summary">{rows}</table></div></details>'
    )
    return Section("protocol", "Protocol", body)


def fixed(table: Table) -> dict[tuple[str, str], Settings]:
    """By environment and optimizer: the settings that all its runs share and that no axis has."""
    found: dict[tuple[str, str], Settings] = {}
    for row in table.rows:
        for run in row.seeds:
            if not run.config:
                continue
            own = {k: v for k, v in _flat(run.config) if k not in (*OF_A_RUN, *row.values)}
            key = (row.env, row.optimizer)
            shared = found.setdefault(key, own)
            found[key] = {k: v for k, v in shared.items() if k in own and same(own[k], v)}
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """By dotted names, those of the axes."""
    for key, value in config.items():
        name = prefix + key
        if isinstance(value, Mapping):
            # The hyperparameters of an optimizer stand right below it.
            yield from _flat(value, prefix if name == "optimizer.hyperparameters" else f"{name}.")
        else:
            yield name, value


def _distinct(found: Mapping[tuple[str, str], Settings], name: str) -> list[Any]:
    return list({repr(own.get(name)): own.get(name) for own in found.values()}.values())


def _budget(found: Mapping[tuple[str, str], Settings]) -> str:
    steps = [
        f"{s:,}" if isinstance(s, int) else "unequal" for s in _distinct(found, "total_timesteps")
    ]
    return f"Budget: {' or '.join(steps)} agent steps per run."


def _evaluation(found: Mapping[tuple[str, str], Settings]) -> list[str]:
    every, games, policies = (
        _distinct(found, f"evaluation.{name}") for name in ("every", "episodes", "policy")
    )
    if every == [None]:
        return ["There were no evaluations: a return is that of the games that training ended."]
    gaps = " or ".join(f"{e:,}" if isinstance(e, int) else "unequal" for e in every)
    words = [
        f"Evaluation: every {gaps} agent steps and after the last, {_or(games)} whole games of the "
        f"{_or(policies)} policy in environments of their own; scores are unclipped."
    ]
    fewest = min((g for g in games if isinstance(g, int)), default=FEW_GAMES)
    if fewest < FEW_GAMES:
        words.append(f"With {fewest} games, the score of an evaluation is noisy itself.")
    return words


def _divergence(found: Mapping[tuple[str, str], Settings]) -> list[str]:
    scores = {}
    for (env, _), own in found.items():
        stated = own.get("diverged_score")
        scores[env] = random_score(env) if stated is None else stated
    said = [f"{value:.4g} in {env}" for env, value in scores.items() if value is not None]
    if not said:
        return ["A diverged run has no score: none is stated, none of random play is known."]
    return [f"Divergence counts as a score of {', '.join(said)}; it is never left out."]


def _pruning(table: Table) -> list[str]:
    if any(row.count("pruned") for row in table.rows):
        return []  # the summary tells what was pruned
    return ["Nothing was pruned: every trial was given the whole budget."]


def _rows(found: Mapping[tuple[str, str], Settings]) -> list[str]:
    """One column where all agree, otherwise one for each environment and optimizer."""
    names = list(dict.fromkeys(name for own in found.values() for name in own))
    rows = [line(["setting", "", *(f"{optimizer} in {env}" for env, optimizer in found)], "th")]
    for name in names:
        given = [own.get(name, ABSENT) for own in found.values()]
        different = distinct(given)
        written = ["-" if v is ABSENT else _value(v) for v in given]
        if len(set(written)) < len(different):
            written = ["-" if v is ABSENT else repr(v) for v in given]
        rows.append(line([name, written[0]] if len(different) == 1 else [name, "", *written]))
    return rows


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return number(value) if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _or(values: Sequence[Any]) -> str:
    return " or ".join(map(str, values))
