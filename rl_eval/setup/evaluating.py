"""`rl_eval.evaluate` and `rl_eval.record`: a trained policy plays whole games."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval.config import Policy
from rl_eval.reading import read_run
from rl_eval.records.finite import plain
from rl_eval.run.flavours import Row, configured, evaluate_flavours, flavours_to_play
from rl_eval.run.trained import Which, load_trained
from rl_eval.run.view import Run
from rl_eval.settings import SettingsError
from rl_eval.setup.modules import found_again
from rl_eval.setup.trust import Trust

if TYPE_CHECKING:
    from rl_eval.run.video import Recording


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Whole games by one policy. Lengths and env_steps are agent steps.

    `flavours`: a row for the flavour trained on, then those of other Atari flavours.
    """

    run_dir: str
    env: str
    checkpoint: Which
    iteration: int
    env_steps: int
    frames: int | None
    policy: Policy
    episodes: int
    flavours: tuple[Row, ...]

    @property
    def returns(self) -> list[float]:
        """Returns of every game on the flavour trained on."""
        return self.flavours[0].returns

    @property
    def document(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        values = dataclasses.asdict(self)
        return plain({**values, "flavours": list(map(dataclasses.asdict, self.flavours))})


def evaluate(
    run: Run | str | Path,
    *,
    flavours: str | None = None,
    episodes: int | None = None,
    policy: Policy | None = None,
    checkpoint: Which = "last",
    trust_code: bool = False,
) -> Evaluation:
    """Play whole games with the policy of one seed's run, whose directory is only read.

    Args:
        flavours: of an Atari game: all, default, or MODE:DIFFICULTY, ...
        episodes: games per flavour; policy: stochastic or greedy. Default: as in the run's own.
        checkpoint: the newest policy, or the one that did best in an evaluation.
        trust_code: import what the run names as `module:attribute`.

    Raises:
        SettingsError: a flavour or number of games that cannot be.
        RecordError, CheckpointError: no such run, or no policy in it.
    """
    path = directory_of(run)
    recorded = read_run(path).config
    Trust(code=trust_code).check(recorded, path / "config.json")
    found_again(recorded)
    trained = load_trained(path, checkpoint)
    config = configured(trained.config, episodes, policy)
    played = flavours_to_play(config, flavours)
    rows = evaluate_flavours(config, played, trained.params, trained.iteration)
    env_steps, atari = trained.iteration * config.ppo.batch_size, config.env.atari
    return Evaluation(
        run_dir=str(path),
        env=config.env.id,
        checkpoint=checkpoint,
        iteration=trained.iteration,
        env_steps=env_steps,
        frames=env_steps * atari.frame_skip if atari else None,
        policy=config.evaluation.policy,
        episodes=config.evaluation.episodes,
        flavours=tuple(rows),
    )


def record(
    run: Run | str | Path,
    out: str | Path = "videos",
    *,
    episodes: int = 1,
    policy: Policy | None = None,
    checkpoint: Which = "last",
    trust_code: bool = False,
) -> Recording:
    """Film games of the policy of one seed's run: an mp4 and a GIF in the directory `out`.

    Raises:
        SettingsError: no such number of games, no pictures of this environment, or a part of
            `pip install 'rl-eval[video]'` is missing.
        RecordError, CheckpointError: no such run, or no policy in it.
    """
    from gymnasium.error import DependencyNotInstalled

    from rl_eval.run import video

    path = directory_of(run)
    outside(path, Path(out))
    if episodes < 1:
        raise SettingsError(f"--episodes must be at least 1, got {episodes}")
    recorded = read_run(path).config
    Trust(code=trust_code).check(recorded, path / "config.json")
    found_again(recorded)
    trained = load_trained(path, checkpoint)
    config = configured(trained.config, episodes, policy)
    try:
        return video.record(config, trained.params, trained.iteration, Path(out))
    except (ModuleNotFoundError, DependencyNotInstalled) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"{reason}: pip install 'rl-eval[video]'") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None


def directory_of(run: Run | str | Path) -> Path:
    """The directory of one seed's run.

    Raises:
        SettingsError: a run of several seeds.
    """
    if not isinstance(run, Run):
        return Path(run)
    if len(run.members) > 1:
        names = ", ".join(one.path.name for one in run.members)
        raise SettingsError(f"{run.path} has several seeds; name one of its directories: {names}")
    return run.members[0].path


def outside(run: Path, out: Path) -> None:
    """Refuse to write into a run's directory.

    Raises:
        SettingsError: `out` lies in it.
    """
    if out.resolve().is_relative_to(run.resolve()):
        raise SettingsError(f"--out {out}: the run directory is only read; write elsewhere")
