"""What an Atari agent is shown and scored on: every option with its source.

[N15] Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015.
[B17] OpenAI baselines, common/atari_wrappers.py.
[H18] Hessel et al., "Rainbow", AAAI 2018.
[M18] Machado et al., "Revisiting the Arcade Learning Environment", JAIR 61, 2018.
[D18] Castro et al., "Dopamine", 2018 (1812.06110), and its atari_lib.py and dqn.gin.
[C22] CleanRL, ppo_atari_envpool.py.
"""

from __future__ import annotations

import dataclasses

from rl_eval.strict import STRICT


@dataclasses.dataclass(frozen=True)
class AtariOptions:
    """Settings of an Atari pool. Defaults are the `classic` protocol."""

    __pydantic_config__ = STRICT

    # A lost life ends the learner's episode, never the game. [N15], [B17] EpisodicLifeEnv.
    episodic_life: bool = True
    # The learner sees the sign of the reward; scores never do. [N15], [B17] ClipRewardEnv.
    reward_clip: bool = True
    # Sticky actions: the last action is repeated with this probability. 0.25 in [M18] and [D18];
    # 0 in [N15].
    repeat_action_probability: float = 0.0
    # All 18 actions instead of the game's own. True in [M18]; False in [N15] and [D18].
    full_action_space: bool = False
    # Up to so many no-ops at the start of an episode. [N15], [B17] NoopResetEnv.
    noop_max: int = 30
    # Emulator frames an action is held for; the last two are max-pooled. 4 in [N15] and [D18]; 5 in
    # [M18].
    frame_skip: int = 4
    # Frames in an observation. [N15].
    stack_num: int = 4
    # Agent steps: 108,000 frames (30 minutes of play at 60 Hz) / frame_skip 4. [H18], [D18], [C22].
    # [N15] and [M18] stop after 18,000 frames (5 minutes).
    max_episode_steps: int = 27_000
    # Press FIRE after a reset where the game has that action. [B17] FireResetEnv.
    use_fire_reset: bool = True
    # The game's flavour; None is the cartridge's default. [M18] section 5.
    mode: int | None = None
    difficulty: int | None = None

    def __post_init__(self) -> None:
        for name in ("noop_max", "frame_skip", "stack_num", "max_episode_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.repeat_action_probability <= 1:
            raise ValueError(
                "repeat_action_probability must lie in [0, 1], "
                f"got {self.repeat_action_probability}"
            )
        for name in ("mode", "difficulty"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be None or at least 0, got {value}")


# CleanRL and baselines: scores comparable with most PPO tables.
CLASSIC = AtariOptions()

# [M18]: sticky actions, which take the place of random no-op starts, full action set, no life-loss
# signal, nothing pressed for the agent. Rewards stay clipped in training, as in its own DQN runs.
MACHADO = AtariOptions(
    episodic_life=False,
    repeat_action_probability=0.25,
    full_action_space=True,
    noop_max=1,
    frame_skip=5,
    max_episode_steps=18_000 // 5,
    use_fire_reset=False,
)

# [D18]: as [M18], but with the game's own actions, 4 frames an action, and 30 minutes of play.
DOPAMINE = AtariOptions(
    episodic_life=False,
    repeat_action_probability=0.25,
    noop_max=1,
    max_episode_steps=108_000 // 4,
    use_fire_reset=False,
)

PROTOCOLS = {"classic": CLASSIC, "machado": MACHADO, "dopamine": DOPAMINE}


def protocol(name: str) -> AtariOptions:
    """A named protocol. Raises ValueError for an unknown name."""
    if name not in PROTOCOLS:
        raise ValueError(f"unknown Atari protocol '{name}'; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def evaluation(options: AtariOptions) -> AtariOptions:
    """The games of `options` with raw rewards: what is trained on but the clipping.

    Lost lives end the learner's episode as in training: envpool plays no-ops and FIRE after them,
    without which some games stand still. A game is still over at game over or time limit alone.
    """
    return dataclasses.replace(options, reward_clip=False)
