"""Sets of environments by name."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from types import MappingProxyType

from rl_eval.envs.registry import describe
from rl_eval.envs.scores import atari_games
from rl_eval.settings import near


def _atari(*games: str) -> tuple[str, ...]:
    return tuple(f"{game}-v5" for game in games)


# Aitchison, Sweetser and Hutter, "Atari-5: Distilling the Arcade Learning Environment down to Five
# Games", ICML 2023, appendix E: coefficients to four decimals, no intercept.
_ATARI_5 = MappingProxyType(
    {
        "BattleZone-v5": 0.3820,
        "DoubleDunk-v5": 0.0679,
        "NameThisGame-v5": 0.3108,
        "Phoenix-v5": 0.1241,
        "Qbert-v5": 0.0805,
    }
)

_MINATAR_4 = "Asterix Breakout Freeway SpaceInvaders"

# What a core does in seconds, with the env steps of each run: by then scores lie well above random
# play, and those of two seeds close to each other, so that few seeds show a loss. Four times as
# many steps leave three times the spread on Breakout. Of the others, CartPole, Freeway and Asterix
# spread by 20 to 50 % of their mean with AdamW, and one Acrobot run in ten learns nothing with
# Celo2-base.
_QUICK = MappingProxyType({"Breakout-MinAtar": 131_072, "SpaceInvaders-MinAtar": 131_072})

# Kaiser et al., "Model-Based Reinforcement Learning for Atari", ICLR 2020: the Atari 100k games.
_ATARI_26 = """
    Alien Amidar Assault Asterix BankHeist BattleZone Boxing Breakout ChopperCommand CrazyClimber
    DemonAttack Freeway Frostbite Gopher Hero Jamesbond Kangaroo Krull KungFuMaster MsPacman Pong
    PrivateEye Qbert RoadRunner Seaquest UpNDown
"""


@functools.cache
def suites() -> Mapping[str, tuple[str, ...]]:
    """Every named suite."""
    return MappingProxyType(
        {
            "minatar-4": tuple(f"{game}-MinAtar" for game in _MINATAR_4.split()),
            "quick": tuple(_QUICK),
            "celo2-paper": _atari("Asterix", "Freeway", "SpaceInvaders"),
            # The games of CleanRL's tables that are compared across all of its PPO variants.
            "atari-3": _atari("Pong", "Breakout", "BeamRider"),
            "atari-5": tuple(_ATARI_5),
            "atari-26": _atari(*_ATARI_26.split()),
            "atari-57": _atari(*atari_games()),
        }
    )


def suite(name: str) -> tuple[str, ...]:
    """The environments of a suite, or of a comma-separated list of environment ids.

    Raises:
        ValueError: neither a suite nor an environment, or one named twice.
    """
    if name in suites():
        return suites()[name]
    ids = tuple(part.strip() for part in name.split(","))
    for env_id in ids:
        if ":" in env_id:  # of the user's own: whoever imports it will tell
            continue
        try:
            describe(env_id)
        except ValueError as error:
            if len(ids) > 1:
                raise
            raise ValueError(
                f"unknown suite '{name}'; {near(name, suites())} or: {error}"
            ) from None
    if len(set(ids)) < len(ids):
        raise ValueError(f"'{name}' names an environment twice")
    return ids


def budget(name: str, env_id: str) -> int | None:
    """Env steps of a run that the suite states; None where its family's default holds."""
    return _QUICK[env_id] if name == "quick" else None


def atari_5_median(human_normalised: Mapping[str, float]) -> float:
    """The median human-normalised score over 57 games that the five of `atari-5` predict.

    The regression is on log10(1 + percent), scores below random play counting as random, and was
    fitted with table badia2020; it is within about 10 % of the true median (section 5).

    Raises:
        ValueError: other games than those five.
    """
    if set(human_normalised) != set(_ATARI_5):
        raise ValueError(
            f"expected scores of {', '.join(_ATARI_5)}; got {', '.join(human_normalised)}"
        )
    logarithm = sum(
        coefficient * math.log10(1 + max(0.0, 100 * human_normalised[env_id]))
        for env_id, coefficient in _ATARI_5.items()
    )
    return (10**logarithm - 1) / 100
