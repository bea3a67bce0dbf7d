"""A trained policy at play, as an mp4 and a GIF.

Atari is filmed off envpool's own emulator, so the policy acts on just what it was trained on while
the viewer sees the console's screen. MinAtar is drawn as a grid, a colour per channel; classic
control by Gymnasium from the observation, which holds the whole state.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Shaped, UInt8

from rl_eval.config import RunConfig
from rl_eval.envs import episode_stats, gymnax
from rl_eval.envs.base import Layout, closed
from rl_eval.envs.protocols import CLASSIC, evaluation
from rl_eval.envs.registry import describe, make_env
from rl_eval.errors import ExplainedError
from rl_eval.ppo.networks import Params, make_network
from rl_eval.prng import Purpose
from rl_eval.run.evaluate import MAX_GAME_STEPS, EndlessGameError, act, roots_of
from rl_eval.types import Environment

Picture = UInt8[np.ndarray, "height width 3"]

GIF_PICTURES = 1000  # at most; a game of Atari can have 27,000 and a GIF of it a gigabyte
ATARI_HZ = 60.0  # emulator frames a second
MINATAR_FPS = 15.0  # agent steps a second; MinAtar has no clock of its own
ATARI_ZOOM, CELL = 2, 32  # pixels per pixel of the console, per cell of MinAtar

# Told apart by people with any colour vision as far as ten colours can be; channel 0, the player,
# comes first. Okabe and Ito (2008), then white and grey.
PALETTE = np.array(
    [
        *((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0)),
        *((204, 121, 167), (0, 114, 178), (255, 255, 255), (150, 150, 150), (120, 80, 40)),
    ],
    np.uint8,
)


class FilmError(ExplainedError):
    """ffmpeg could not write a film; the message is its own."""


class Game(NamedTuple):
    """A finished game: unclipped return, and length in agent steps."""

    total: float
    length: int


class Shot(NamedTuple):
    """One picture per agent step; `game` is set on the last of each game."""

    picture: Picture
    game: Game | None


class Recording(NamedTuple):
    """What was written."""

    mp4: Path
    gif: Path
    games: list[Game]
    pictures: int
    gif_pictures: int


class Stage(NamedTuple):
    """One environment, how to paint it from its observation, and pictures a second."""

    env: Environment
    paint: Callable[[Shaped[np.ndarray, "*shape"]], Picture]
    fps: float


def record(config: RunConfig, params: Params, index: int, out: Path) -> Recording:
    """Film `config.evaluation.episodes` games into `out`, replacing an earlier film of `index`.

    Args:
        params: of one member, leaves [1, ...]; `config` has its seed.
        index: iterations they were trained for. Other games than the evaluations play.

    Raises:
        ValueError: nothing is known to paint this environment with.
        ModuleNotFoundError, gymnasium.error.DependencyNotInstalled: the extra `video` is missing.
        FilmError: ffmpeg cannot write.
    """
    from PIL import Image

    stage = stage_of(config, index)
    out.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]", "-", config.env.id)
    mp4, gif = out / f"{stem}-{index}.mp4", out / f"{stem}-{index}.gif"
    games: list[Game] = []
    clip: list[Image.Image] = []
    count = 0
    with closed(stage.env), film(mp4, stage.fps) as append:
        for picture, game in shots(stage, config, params, index):
            append(picture)
            count += 1
            if count <= GIF_PICTURES:
                clip.append(Image.fromarray(picture).quantize())
            if game is not None:
                games.append(game)
    milliseconds = 10 * round(100 / stage.fps)  # a GIF counts in hundredths of a second
    clip[0].save(gif, save_all=True, append_images=clip[1:], duration=milliseconds, loop=0)
    return Recording(mp4, gif, games, count, len(clip))


@contextmanager
def film(path: Path, fps: float) -> Iterator[Callable[[Picture], None]]:
    """A function that adds a picture to an mp4; all are of one size, with even sides.

    ffmpeg is started here and not by imageio, which would fork a process that runs JAX's threads.

    Raises:
        FilmError: ffmpeg cannot write.
    """
    ffmpeg: Any = importlib.import_module("imageio_ffmpeg")  # which ships the program
    process: subprocess.Popen[bytes] | None = None

    def append(picture: Picture) -> None:
        nonlocal process
        if process is None:
            height, width, _ = picture.shape
            taken = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
            made = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
            command = [ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *taken]
            command += ["-r", str(fps), "-i", "-", *made, str(path)]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # why it broke is asked below
            process.stdin.write(picture.tobytes())

    try:
        yield append
    finally:
        if process is not None:
            _, said = process.communicate()
            if process.returncode:
                raise FilmError(f"{path}: ffmpeg: {said.decode(errors='replace').strip()}")


def shots(stage: Stage, config: RunConfig, params: Params, index: int) -> Iterator[Shot]:
    """Play `config.evaluation.episodes` games; each is painted from its first to its final state.

    Raises:
        EndlessGameError: the games do not end.
    """
    env, episodes, policy = stage.env, config.evaluation.episodes, config.evaluation.policy
    network = make_network(config.network, env.observation, env.num_actions)
    roots = roots_of(config.seeds)
    advance = jax.jit(env.step) if env.jittable else env.step
    state, obs = env.reset()
    stats = episode_stats.init(1)
    yield Shot(stage.paint(np.asarray(obs)[0]), None)
    for time in range(episodes * MAX_GAME_STEPS):
        action = act(network, policy, params, roots, np.int32(index), np.int32(time), obs)
        state, step = advance(state, np.asarray(action))
        step = jax.tree.map(np.asarray, step)
        stats = episode_stats.update(stats, step)
        over = bool(step.episode.over[0])
        game = Game(float(stats.latest_return[0]), int(stats.latest_length[0])) if over else None
        yield Shot(stage.paint(step.next_obs[0]), game)
        if stats.finished[0] == episodes:
            return
        if over and env.resets_in_step:
            yield Shot(stage.paint(step.obs[0]), None)
        obs = step.obs
    raise EndlessGameError(f"{config.env.id}: games do not end; give it a time limit")


def stage_of(config: RunConfig, index: int) -> Stage:
    """What to film.

    Raises:
        ValueError: nothing is known to paint this environment with.
    """
    described, env_id = describe(config.env.id), config.env.id
    layout = Layout(1, config.seeds, Purpose.EVAL_ENV, index)
    if described.family == "atari":
        return _atari(config, layout)
    if env_id not in gymnax.MINATAR + gymnax.CLASSIC:
        raise ValueError(
            f"'{env_id}' cannot be filmed: only Atari games of envpool, MinAtar and "
            f"{', '.join(gymnax.CLASSIC)} can"
        )
    env = make_env(
        described,
        num_envs=1,
        seeds=config.seeds,
        purpose=layout.purpose,
        index=index,
        kwargs=config.env.kwargs,
    )
    if env_id in gymnax.MINATAR:
        return Stage(env, paint_grid, MINATAR_FPS)
    return Stage(env, *_gymnasium_painter(env_id))


def _atari(config: RunConfig, layout: Layout) -> Stage:
    from rl_eval.envs.envpool import AtariEnv, game_ids

    if config.env.id not in game_ids():
        raise ValueError(
            f"'{config.env.id}' cannot be filmed: ALE's vector environment keeps its screen to "
            f"itself; train '{config.env.id.removeprefix('ALE/')}' (envpool) to film the game"
        )

    class Screened(AtariEnv):
        def screen(self, obs: Shaped[np.ndarray, "*shape"]) -> Picture:
            frame = self._pool.render()[0]
            return frame.repeat(ATARI_ZOOM, 0).repeat(ATARI_ZOOM, 1)

    options = evaluation(config.env.atari or CLASSIC)
    env = Screened(config.env.id, layout, options, jittable=False, reason="to be filmed")
    env._pool._render_mode = "rgb_array"  # all that envpool's argument of that name sets
    return Stage(env, env.screen, ATARI_HZ / options.frame_skip)


def paint_grid(obs: Shaped[np.ndarray, "row column channel"]) -> Picture:
    """A MinAtar observation: the first channel that is set gives a cell its colour."""
    colours = np.concatenate([PALETTE[: obs.shape[-1]], np.zeros((1, 3), np.uint8)])
    first = np.where(obs.any(-1), obs.argmax(-1), obs.shape[-1])
    picture = colours[first].repeat(CELL, 0).repeat(CELL, 1)
    picture[::CELL], picture[:, ::CELL] = 24, 24  # faint lines, to count cells by
    return picture


def _gymnasium_painter(env_id: str) -> tuple[Callable[[np.ndarray], Picture], float]:
    """Gymnasium's own drawing, in the state that an observation of gymnax shows."""
    import gymnasium

    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")  # else pygame complains of no sound card
    twin: Any = gymnasium.make(env_id, render_mode="rgb_array").unwrapped
    twin.reset(seed=0)

    def paint(obs: Shaped[np.ndarray, " feature"]) -> Picture:
        twin.state = state_shown(env_id, obs)
        return twin.render()

    return paint, float(twin.metadata["render_fps"])


def state_shown(env_id: str, obs: Shaped[np.ndarray, " feature"]) -> np.ndarray:
    """The state of Gymnasium's environment; only Acrobot observes something else than it."""
    if env_id != "Acrobot-v1":
        return obs
    cos_1, sin_1, cos_2, sin_2, velocity_1, velocity_2 = obs
    angles = np.arctan2(sin_1, cos_1), np.arctan2(sin_2, cos_2)
    return np.array([*angles, velocity_1, velocity_2], obs.dtype)
