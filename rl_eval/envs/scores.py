"""What a score is worth: against a person on Atari, against a published PPO level elsewhere.

Two tables of Atari references are in use, and their human scores differ by up to a factor of four,
so a human-normalised score means nothing without the name of its table.

dqn2015: Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015,
    extended data table 2: 49 games. To one decimal as van Hasselt et al. (AAAI 2016) reprint it.
badia2020: Badia et al., "Agent57", ICML 2020, last table of the appendix: 57 games, other human
    testers. The table most later work uses. Its random scores are those of dqn2015 but for
    VideoPinball, 0 instead of 16256.9; DQN Zoo and CleanRL keep the latter.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any, NamedTuple

from rl_eval.envs.formulas import FLOOR, HEIGHT, LANDSCAPES
from rl_eval.settings import closest

TABLES = ("dqn2015", "badia2020")
DEFAULT_TABLE = "badia2020"
Score = Any  # a number, or an array of them


class Reference(NamedTuple):
    """Mean returns between which a score is placed.

    `high` is a person's on Atari and tuned PPO's elsewhere; None where nobody published one.
    """

    random: float
    high: float | None


# `random` is ours: RANDOM_EPISODES full games of a uniform policy in gymnax 1.0.1, evaluation
# streams of seed 0. `high`: MinAtar, what OPEN (Goldie et al., NeurIPS 2024) normalises returns
# by: PPO with Adam tuned for 10M steps (Breakout 0.5M), in gymnax before 1.0; Seaquest is newer.
# Classic control: the trained agents of gymnax's README; 500 is the most that CartPole can give.
RANDOM_EPISODES = 4096
JAX_REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {
        "Asterix-MinAtar": Reference(0.513, 15.0353),
        "Breakout-MinAtar": Reference(0.414, 50.0822),
        "Freeway-MinAtar": Reference(0.397, 61.8369),
        "Seaquest-MinAtar": Reference(0.090, None),
        "SpaceInvaders-MinAtar": Reference(4.107, 167.0913),
        "Acrobot-v1": Reference(-498.87, -80.0),
        "CartPole-v1": Reference(22.21, 500.0),
        "MountainCar-v0": Reference(-200.0, -118.0),
    }
)

# Beside them, environments that are a formula.
OWN_REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {**JAX_REFERENCES, **{name: Reference(FLOOR, HEIGHT) for name in LANDSCAPES}}
)


def atari_games(table: str = DEFAULT_TABLE) -> tuple[str, ...]:
    """The games of a table, such as "Pong", in alphabetical order."""
    return tuple(_atari()[table])


def reference(env_id: str, table: str = DEFAULT_TABLE) -> Reference:
    """What the scores of an environment are normalised by.

    Raises:
        ValueError: an unknown table, or an environment without published scores in it.
    """
    if table not in TABLES:
        raise ValueError(f"unknown score table '{table}'; known: {', '.join(TABLES)}")
    if (found := OWN_REFERENCES.get(env_id)) is not None:
        return found
    games = _atari()[table]
    game = _game(env_id)
    if game not in games:
        known = [*(f"{name}-v5" for name in games), *OWN_REFERENCES]
        hint = f"; {close}" if (close := closest(env_id, known)) else ""
        raise ValueError(f"table '{table}' has no scores for '{env_id}'{hint}")
    return games[game]


def human_normalised(env_id: str, score: Score, table: str = DEFAULT_TABLE) -> Score:
    """0 is random play, 1 the human tester of that table. Atari only.

    Raises:
        ValueError: as `reference`; or not an Atari game.
    """
    if env_id in OWN_REFERENCES:
        raise ValueError(f"'{env_id}' has no human score; use min_max_normalised")
    return min_max_normalised(env_id, score, table)


def min_max_normalised(env_id: str, score: Score, table: str = DEFAULT_TABLE) -> Score:
    """0 is random play, 1 the high reference: a person's on Atari, tuned PPO's elsewhere.

    Not clipped: better than the reference is above 1.

    Raises:
        ValueError: as `reference`; or nobody published a high one.
    """
    low, high = reference(env_id, table)
    if high is None:
        raise ValueError(f"'{env_id}' has a random score only; nothing to normalise by")
    return (score - low) / (high - low)


def random_score(env_id: str) -> float | None:
    """Mean return of random play; None where nobody published one."""
    if (known := OWN_REFERENCES.get(env_id)) is not None:
        return known.random
    for table in TABLES:
        if (found := _atari()[table].get(_game(env_id))) is not None:
            return found.random
    return None


def _game(env_id: str) -> str:
    """Pong of `Pong-v5` and of `ALE/Pong-v5`."""
    return env_id.removeprefix("ALE/").removesuffix("-v5")


@functools.cache
def _atari() -> dict[str, dict[str, Reference]]:
    text = files("rl_eval.envs").joinpath("atari_scores.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return {
        table: {
            row["game"]: Reference(float(row[f"{table}_random"]), float(row[f"{table}_human"]))
            for row in rows
            if row[f"{table}_human"]
        }
        for table in TABLES
    }
