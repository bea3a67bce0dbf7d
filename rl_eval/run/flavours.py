"""Whole games by a trained policy, on flavours of its game it never saw too."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rl_eval.config import Policy, RunConfig
from rl_eval.settings import SettingsError


class Flavour(NamedTuple):
    """What an Atari cartridge's switches are set to."""

    mode: int
    difficulty: int


@dataclasses.dataclass(frozen=True)
class Row:
    """Games on one flavour. Lengths are agent steps; `drop` is against the flavour trained on.

    A game whose rewards or observations were not finite has no return: NaN here, null in JSON, and
    so has the mean.
    """

    mode: int | None
    difficulty: int | None
    trained_on: bool
    return_mean: float
    return_se: float
    drop: float
    drop_se: float
    length_mean: float
    returns: list[float]
    lengths: list[int]


def flavours_to_play(config: RunConfig, wanted: str | None) -> list[Flavour | None]:
    """The flavour trained on, then the others asked for; [None] for what has no flavours.

    Raises:
        SettingsError: a flavour the game does not have, or flavours of what is no Atari game.
    """
    env_id, atari = config.env.id, config.env.atari
    if atari is None or env_id.startswith("ALE/"):
        if wanted is not None:
            other = env_id.removeprefix("ALE/")
            hint = f"; train {other}, its envpool twin" if atari else "; Atari games have them"
            raise SettingsError(f"--flavours {wanted}: {env_id} has no flavours here{hint}")
        return [None]
    from rl_eval.envs.envpool import flavours

    modes, difficulties = flavours(env_id)
    default = Flavour(modes[0], difficulties[0])  # as ALE itself chooses
    known = [Flavour(mode, difficulty) for mode in modes for difficulty in difficulties]
    trained_on = Flavour(
        default.mode if atari.mode is None else atari.mode,
        default.difficulty if atari.difficulty is None else atari.difficulty,
    )
    chosen = [trained_on]
    for part in wanted.split(",") if wanted else []:
        match part.strip():
            case "all":
                chosen += known
            case "default":
                chosen.append(default)
            case text:
                chosen.append(_parse(text, known, env_id))
    return list(dict.fromkeys(chosen))


def _parse(text: str, known: Sequence[Flavour], env_id: str) -> Flavour:
    mode, _, difficulty = text.partition(":")
    if not (mode.isdecimal() and difficulty.isdecimal()):
        raise SettingsError(
            f"--flavours {text}: expected all, default or MODE:DIFFICULTY such as 4:1"
        )
    flavour = Flavour(int(mode), int(difficulty))
    if flavour not in known:
        there = " ".join(f"{f.mode}:{f.difficulty}" for f in known)
        raise SettingsError(f"--flavours {text}: {env_id} has {there}")
    return flavour


def evaluate_flavours(
    config: RunConfig, flavours: Sequence[Flavour | None], params: Any, iteration: int
) -> list[Row]:
    """Games on each flavour, with the same seeds; the first is the one trained on."""
    import numpy as np

    from rl_eval.run.evaluate import make_evaluator, network_of

    network = network_of(config)
    rows: list[Row] = []
    for flavour in flavours:
        evaluate = make_evaluator(_on(config, flavour), network)
        games = evaluate(params, iteration)
        returns, lengths = games.returns[0].astype(np.float64), games.lengths[0]
        mean = float(returns.mean())
        with np.errstate(invalid="ignore"):  # infinite returns have no deviation
            se = float(returns.std(ddof=1) / math.sqrt(returns.size)) if returns.size > 1 else 0.0
        learned = rows[0] if rows else None
        row = Row(
            mode=flavour.mode if flavour else None,
            difficulty=flavour.difficulty if flavour else None,
            trained_on=learned is None,
            return_mean=mean,
            return_se=se,
            drop=learned.return_mean - mean if learned else 0.0,
            drop_se=math.hypot(learned.return_se, se) if learned else 0.0,
            length_mean=float(lengths.mean()),
            returns=returns.tolist(),
            lengths=lengths.tolist(),
        )
        rows.append(row)
    return rows


def _on(config: RunConfig, flavour: Flavour | None) -> RunConfig:
    if flavour is None or config.env.atari is None:
        return config
    atari = dataclasses.replace(config.env.atari, **flavour._asdict())
    return dataclasses.replace(config, env=dataclasses.replace(config.env, atari=atari))


def configured(config: RunConfig, episodes: int | None, policy: Policy | None) -> RunConfig:
    """The run's configuration with other evaluation settings where they are given.

    Raises:
        SettingsError: no such number of games.
    """
    old = config.evaluation
    try:
        new = dataclasses.replace(
            old,
            episodes=old.episodes if episodes is None else episodes,
            policy=policy or old.policy,
        )
    except ValueError as error:
        raise SettingsError(f"--{error}") from None
    return dataclasses.replace(config, evaluation=new)
