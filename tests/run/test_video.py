from __future__ import annotations

import dataclasses
import re
import subprocess

import jax
import numpy as np
import pytest

from rl_eval.config import (
    EnvConfig,
    EvaluationConfig,
    NetworkConfig,
    OptimizerConfig,
    PPOConfig,
    PPOHparams,
    RunConfig,
)
from rl_eval.envs.protocols import CLASSIC
from rl_eval.run import video
from rl_eval.run.evaluate import network_of

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs the extra `video`")


def config_of(env_id, episodes=2, atari=None):
    return RunConfig(
        env=EnvConfig(env_id, atari=atari),
        optimizer=OptimizerConfig("sgd"),
        total_timesteps=1,
        network=NetworkConfig(hidden_sizes=(8,)),
        ppo=PPOConfig(num_envs=1, num_steps=1, update_epochs=1, num_minibatches=1),
        hparams=PPOHparams(),
        evaluation=EvaluationConfig(episodes=episodes),
    )


def untrained(config):
    return jax.tree.map(lambda x: x[None], network_of(config).init(jax.random.key(0)))


def ffmpeg(*args):
    """What it wrote to its output, and what it said."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *map(str, args)]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout, done.stderr.decode()


def pictures_in(mp4):
    """Every picture of a film, and its pictures a second."""
    raw, said = ffmpeg("-i", mp4, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    width, height = map(int, re.search(r"Video: h264.*, yuv420p.*, (\d+)x(\d+)", said).groups())
    fps = float(re.search(r"([\d.]+) fps", said).group(1))
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3), fps


def test_both_files_show_every_step_of_every_game(tmp_path):
    from PIL import Image

    config = config_of("Breakout-MinAtar")
    params = untrained(config)
    made = video.record(config, params, 5, tmp_path / "new" / "folder")
    steps = sum(game.length for game in made.games)
    assert len(made.games) == 2
    assert made.pictures == made.gif_pictures == steps + 2  # the first of each game besides
    film, fps = pictures_in(made.mp4)
    assert (len(film), fps) == (made.pictures, video.MINATAR_FPS)
    shown = list(video.shots(video.stage_of(config, 5), config, params, 5))
    assert [shot.game for shot in shown if shot.game] == made.games
    for picture, shot in zip(film, shown, strict=True):
        assert np.abs(picture.astype(int) - shot.picture).mean() < 4  # video compression
    with Image.open(made.gif) as gif:
        durations = []
        for i in range(gif.n_frames):
            gif.seek(i)
            durations.append(gif.info["duration"])
    assert sum(durations) == made.pictures * 70  # of 66.7 ms, in hundredths of a second


def test_a_long_gif_is_cut_and_the_film_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "GIF_PICTURES", 5)
    config = config_of("Breakout-MinAtar", episodes=1)
    made = video.record(config, untrained(config), 0, tmp_path)
    assert made.gif_pictures == 5 < made.pictures == len(pictures_in(made.mp4)[0])


def test_atari_is_filmed_as_the_policy_sees_it():
    """The newest frame of the observation is the screen: grey, smaller, of the same moment."""
    from PIL import Image

    config = config_of("Breakout-v5", 1, dataclasses.replace(CLASSIC, max_episode_steps=60))
    stage = video.stage_of(config, 0)
    assert stage.fps == 15  # 60 emulator frames a second, 4 of them a step
    state, obs = stage.env.reset()
    for t in range(61):
        screen = stage.paint(obs[0])
        assert screen.shape == (420, 320, 3)
        small = Image.fromarray(screen).convert("L").resize((84, 84), Image.Resampling.BOX)
        seen = obs[0, :, :, -1].astype(float)
        # The paddle and the ball leave a ghost: two emulator frames are pooled into a step's.
        assert np.abs(np.asarray(small) - seen).mean() < 1.5
        moved = np.abs(np.asarray(small) - obs[0, :, :, 0].astype(float)).mean()
        state, step = stage.env.step(state, np.array([2 + t // 10 % 2], np.int32))
        obs = step.obs
    assert moved > 0
    assert step.episode.over.tolist() == [False]
    assert state.over.tolist() == [False]


def test_an_atari_film_ends_with_the_final_screen(tmp_path):
    config = config_of("Pong-v5", 1, dataclasses.replace(CLASSIC, max_episode_steps=12))
    made = video.record(config, untrained(config), 0, tmp_path)
    assert [game.length for game in made.games] == [12]
    film, fps = pictures_in(made.mp4)
    assert (len(film), fps, film[0].shape) == (13, 15, (420, 320, 3))


def test_the_first_channel_of_a_cell_gives_it_its_colour():
    obs = np.zeros((10, 10, 4), bool)
    obs[0, 0, [1, 3]] = True
    obs[9, 2, 0] = True
    picture = video.paint_grid(obs)
    assert picture.shape == (320, 320, 3)
    centres = picture[16::32, 16::32]
    assert (centres[0, 0] == video.PALETTE[1]).all()
    assert (centres[9, 2] == video.PALETTE[0]).all()
    assert (centres.any(-1).sum(), len(np.unique(video.PALETTE, axis=0))) == (2, 10)


def test_gymnasium_draws_the_state_that_gymnax_observes():
    pytest.importorskip("pygame", reason="needs the extra `video`")
    for env_id in ("CartPole-v1", "MountainCar-v0", "Acrobot-v1"):
        stage = video.stage_of(config_of(env_id), 0)
        state, obs = stage.env.reset()
        first = stage.paint(np.asarray(obs)[0])
        for _ in range(15):
            state, step = stage.env.step(state, np.ones(1, np.int32))
        later = stage.paint(np.asarray(step.obs)[0])
        assert first.dtype == np.uint8
        assert first.shape[2] == 3
        assert not np.array_equal(first, later)
        np.testing.assert_array_equal(stage.paint(np.asarray(obs)[0]), first)


def test_acrobots_angles_are_those_it_observes():
    angles = np.array([2.5, -1.2], np.float32)
    cosines, sines = np.cos(angles), np.sin(angles)
    obs = np.array([cosines[0], sines[0], cosines[1], sines[1], 3.0, 4.0], np.float32)
    found = video.state_shown("Acrobot-v1", obs)
    np.testing.assert_allclose(found, [*angles, 3, 4], rtol=1e-6)


@pytest.mark.parametrize(
    ("env_id", "words"),
    [("probe/both", "cannot be filmed"), ("ALE/Pong-v5", "train 'Pong-v5'")],
)
def test_what_cannot_be_filmed_is_said(env_id, words):
    with pytest.raises(ValueError, match=words):
        video.stage_of(config_of(env_id), 0)


def test_ffmpegs_complaint_is_passed_on(tmp_path):
    def attempt():
        with video.film(tmp_path / "missing" / "x.mp4", 15.0) as append:
            for _ in range(100):
                append(np.zeros((32, 32, 3), np.uint8))

    with pytest.raises(video.FilmError, match=r"missing.x\.mp4: ffmpeg: .*No such file"):
        attempt()


def test_the_film_plays_everywhere(tmp_path):
    """4:2:0 colour and the index in front, as browsers want it."""
    with video.film(tmp_path / "x.mp4", 15.0) as append:
        for level in (0, 200):
            append(np.full((32, 48, 3), level, np.uint8))
    film, _ = pictures_in(tmp_path / "x.mp4")  # which looks for yuv420p
    np.testing.assert_allclose(film.mean((1, 2, 3)), [0, 200], atol=3)
    data = (tmp_path / "x.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
