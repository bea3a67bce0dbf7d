"""Emulator frames and environment steps are never mixed: every count says which it is."""

from __future__ import annotations

import dataclasses
import re

import pytest

from rl_eval import config
from rl_eval.cli.train import Train
from rl_eval.envs.protocols import CLASSIC, MACHADO, AtariOptions
from rl_eval.records import run
from rl_eval.run import flavours

# Every field that counts time in an environment, and in what. "env steps" are agent steps: one
# action each. "emulator frames" are `frame_skip` times as many, and there are none but on Atari.
UNITS = {
    (config.PPOConfig, "num_steps"): "env steps",
    (config.RunConfig, "total_timesteps"): "env steps",
    (config.EvaluationConfig, "every"): "env steps",
    (AtariOptions, "max_episode_steps"): "env steps",
    (AtariOptions, "frame_skip"): "emulator frames",
    (AtariOptions, "stack_num"): "env steps",
    (AtariOptions, "noop_max"): "emulator frames",
    (run.MetricsRow, "env_steps"): "env steps",
    (run.MetricsRow, "frames"): "emulator frames",
    (run.MetricsRow, "gradient_steps"): "gradient steps",
    (run.MetricsRow, "episode_length_mean"): "env steps",
    (run.EvalRow, "env_steps"): "env steps",
    (run.EvalRow, "frames"): "emulator frames",
    (run.EvalRow, "gradient_steps"): "gradient steps",
    (run.EvalRow, "length_mean"): "env steps",
    (run.EvalRow, "lengths"): "env steps",
    (flavours.Row, "length_mean"): "env steps",
    (flavours.Row, "lengths"): "env steps",
    (Train, "total_timesteps"): "env steps",
}
COUNTS = re.compile(r"step|frame|length|^every$|stack_num|noop_max")
PLACES = sorted({place for place, _ in UNITS}, key=lambda place: place.__name__)


@pytest.mark.parametrize("place", PLACES)
def test_every_count_is_in_the_table(place):
    counts = {f.name for f in dataclasses.fields(place) if COUNTS.search(f.name)}
    assert counts == {name for owner, name in UNITS if owner is place}


@pytest.mark.parametrize(("place", "name"), UNITS)
def test_frames_are_called_frames_and_nothing_else_is(place, name):
    """`noop_max` counts no-ops, which ALE holds for one frame each whatever the frame skip."""
    in_frames = UNITS[place, name] == "emulator frames"
    assert ("frame" in name) == (in_frames and name != "noop_max")


@pytest.mark.parametrize(("options", "frames"), [(CLASSIC, 108_000), (MACHADO, 18_000)])
def test_the_time_limit_in_agent_steps_is_that_of_the_paper_in_frames(options, frames):
    assert options.max_episode_steps * options.frame_skip == frames
