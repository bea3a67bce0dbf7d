from __future__ import annotations

import dataclasses

import pytest

from rl_eval.envs import registry, xla_check
from rl_eval.envs.base import Layout
from rl_eval.envs.probes import ProbeEnv
from rl_eval.envs.protocols import CLASSIC, AtariOptions, evaluation, protocol


@pytest.mark.parametrize(
    ("env_id", "family"),
    [
        ("Pong-v5", "atari"),
        ("ALE/Pong-v5", "atari"),
        ("Breakout-MinAtar", "minatar"),
        ("CartPole-v1", "classic"),
        ("gymnasium:CartPole-v1", "classic"),
        ("probe/both", "probe"),
        ("FrozenLake-v1", "other"),
    ],
)
def test_families(env_id, family):
    assert registry.describe(env_id).family == family


def test_listed_ids_are_unique_and_grouped():
    groups = registry.env_ids()
    assert {"gymnax", "envpool", "ale", "probe"} <= set(groups)
    ids = [name for names in groups.values() for name in names]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("call", [registry.describe, lambda i: registry.make_env(i, num_envs=1)])
def test_unknown_ids_name_the_near_ones(call):
    with pytest.raises(
        ValueError, match=r"unknown environment 'Brekout-v5'; did you mean Breakout"
    ):
        call("Brekout-v5")
    with pytest.raises(
        ValueError,
        match=r"environment 'nosuchmodule:X-v0': importing nosuchmodule failed: Module",
    ):
        call("nosuchmodule:X-v0")


def test_prefix_gets_gymnasiums_own():
    assert registry.make_env("CartPole-v1", num_envs=1).jittable
    assert not registry.make_env("gymnasium:CartPole-v1", num_envs=1).jittable


def test_settings_an_environment_does_not_have_are_refused():
    with pytest.raises(ValueError, match="only, got path 'host'"):
        registry.make_env("CartPole-v1", num_envs=1, path="host")
    with pytest.raises(ValueError, match="only, got path 'xla'"):
        registry.make_env("gymnasium:CartPole-v1", num_envs=1, path="xla")
    with pytest.raises(ValueError, match="takes no Atari options"):
        registry.make_env("CartPole-v1", num_envs=1, atari=CLASSIC)


@pytest.mark.parametrize(
    ("num_envs", "seeds", "complaint"),
    [(0, (0,), "num_envs"), (1, (), "at least one seed"), (1, (-1,), "seeds must lie in")],
)
def test_impossible_pools_are_refused(num_envs, seeds, complaint):
    with pytest.raises(ValueError, match=complaint):
        registry.make_env("probe/both", num_envs=num_envs, seeds=seeds)


def test_registered_environments_are_made_by_name(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    registry.register_pool("mine", lambda lay: ProbeEnv("probe/action", lay), "classic")
    env = registry.make_env("mine", num_envs=3, seeds=(1, 2))
    assert (env.num_envs, registry.describe("mine").family) == (6, "classic")
    assert registry.env_ids()["registered"] == ("mine",)
    for taken in ("mine", "Pong-v5"):
        with pytest.raises(ValueError, match="exists already"):
            registry.register_env(taken, ProbeEnv)


def test_auto_steps_from_the_host_where_xla_fails_and_says_why(monkeypatch):
    monkeypatch.setattr(xla_check, "verdict", lambda: xla_check.Verdict(False, "it was killed"))
    env = registry.make_env("Pong-v5", num_envs=1)
    assert (env.path, env.path_reason, env.jittable) == ("host", "it was killed", False)
    forced = registry.make_env("Pong-v5", num_envs=1, path="xla")
    assert (forced.path, forced.jittable) == ("xla", True)


def frames(options):
    return options.frame_skip, options.frame_skip * options.max_episode_steps


def test_protocols_are_those_of_their_papers():
    machado, dopamine = protocol("machado"), protocol("dopamine")
    assert frames(CLASSIC) == frames(dopamine) == (4, 108_000)
    assert frames(machado) == (5, 18_000)
    assert machado.full_action_space
    assert not dopamine.full_action_space
    for sticky in (machado, dopamine):
        assert sticky.repeat_action_probability == 0.25
        assert not sticky.episodic_life
        assert not sticky.use_fire_reset


def test_evaluation_differs_from_training_in_the_clipping_alone():
    for name in ("classic", "machado", "dopamine"):
        options = dataclasses.asdict(protocol(name))
        assert dataclasses.asdict(evaluation(protocol(name))) == {**options, "reward_clip": False}


def test_impossible_atari_options_are_refused():
    with pytest.raises(
        ValueError, match="unknown Atari protocol 'nature'; known: classic, machado, dopamine"
    ):
        protocol("nature")
    with pytest.raises(ValueError, match="frame_skip must be at least 1"):
        AtariOptions(frame_skip=0)
    with pytest.raises(ValueError, match="repeat_action_probability"):
        AtariOptions(repeat_action_probability=1.5)


def test_int_seeds_and_keys_have_one_stream_per_environment():
    seeds = Layout(64, (0, 1)).int_seeds()
    assert len(set(seeds.tolist())) == 128
    assert (seeds[:3] == Layout(3).int_seeds()).all()
