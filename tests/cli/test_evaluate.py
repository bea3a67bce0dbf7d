"""`rl-eval evaluate` and `rl-eval record` on trained runs."""

from __future__ import annotations

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest
import tyro

from rl_eval.cli import evaluate, record
from rl_eval.cli.evaluate import Evaluate
from rl_eval.cli.main import main
from rl_eval.cli.record import Record
from rl_eval.config import (
    EnvConfig,
    EvaluationConfig,
    NetworkConfig,
    OptimizerConfig,
    PPOConfig,
    PPOHparams,
    RunConfig,
    to_dict,
)
from rl_eval.envs.protocols import CLASSIC
from rl_eval.records.run import RunDirectory
from rl_eval.run.checkpoint import CheckpointError
from rl_eval.run.evaluate import network_of
from rl_eval.run.flavours import Flavour, evaluate_flavours, flavours_to_play
from rl_eval.run.trained import Trained
from rl_eval.settings import SettingsError
from rl_eval.setup import evaluating


def atari(env_id="Breakout-v5", **options):
    return RunConfig(
        env=EnvConfig(env_id, atari=dataclasses.replace(CLASSIC, **options)),
        optimizer=OptimizerConfig("sgd"),
        total_timesteps=10,
        network=NetworkConfig(hidden_sizes=(4,)),
        ppo=PPOConfig(num_envs=2, num_steps=5, update_epochs=1, num_minibatches=1),
        hparams=PPOHparams(),
        evaluation=EvaluationConfig(episodes=2),
    )


def parse(command, *args):
    return tyro.cli(command, args=list(args))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A short run on CartPole that was evaluated twice."""
    out = tmp_path_factory.mktemp("runs") / "cartpole"
    args = ["train", "--env", "CartPole-v1", "--total-timesteps", "1280", "--out", str(out)]
    small = ["num_envs=4", "num_steps=16", "hidden_sizes=[8]", "every=640", "evaluation.episodes=6"]
    for setting in small:
        args += ["--set", setting]
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 0
    return out


@pytest.fixture
def atari_run(tmp_path, monkeypatch):
    """`atari_run(config)`: a directory whose policy was never trained."""

    def make(config):
        params = network_of(config).init(jax.random.key(0))
        loaded = Trained(config, jax.tree.map(lambda x: x[None], params), 7)
        monkeypatch.setattr(evaluating, "load_trained", lambda run, which: loaded)
        RunDirectory(tmp_path / "run").create(to_dict(config), {})
        return tmp_path / "run"

    return make


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_evaluating_the_last_checkpoint_repeats_its_line_of_the_record(run_dir, tmp_path, capsys):
    before = files(run_dir)
    out = tmp_path / "new" / "result.json"
    assert evaluate.run(parse(Evaluate, str(run_dir), "--json", "--out", str(out))) == 0
    document = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert document == json.loads(out.read_text())
    line = json.loads((run_dir / "eval.jsonl").read_text().splitlines()[-1])
    (row,) = document["flavours"]
    assert row["returns"] == line["returns"]
    assert row["lengths"] == line["lengths"]
    assert row["return_mean"] == pytest.approx(line["return_mean"])
    for name in ("iteration", "env_steps", "frames", "policy", "episodes"):
        assert document[name] == line[name]
    assert files(run_dir) == before


def test_the_best_checkpoint_more_games_and_a_greedy_policy(run_dir, capsys):
    args = ["--checkpoint", "best", "--episodes", "20", "--policy", "greedy"]
    assert evaluate.run(parse(Evaluate, str(run_dir), *args, "--json")) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out.strip().splitlines()[-1])
    lines = [json.loads(line) for line in (run_dir / "eval.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: line["return_mean"])
    assert document["iteration"] == best["iteration"]
    assert len(document["flavours"][0]["returns"]) == 20
    assert "20 games each" in captured.err


def test_all_flavours_are_compared_with_the_one_trained_on(atari_run, capsys):
    config = atari(max_episode_steps=30, mode=4)
    args = parse(Evaluate, str(atari_run(config)), "--flavours", "default,4:1,8:0", "--json")
    assert evaluate.run(args) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out.strip().splitlines()[-1])
    rows = document["flavours"]
    assert [(r["mode"], r["difficulty"]) for r in rows] == [(4, 0), (0, 0), (4, 1), (8, 0)]
    assert [r["trained_on"] for r in rows] == [True, False, False, False]
    for row in rows:
        assert row["drop"] == rows[0]["return_mean"] - row["return_mean"]
        assert row["lengths"] == [30, 30]  # agent steps: 120 frames
    assert (document["env_steps"], document["frames"]) == (70, 280)
    assert "trained on" in captured.err


def test_flavours_differ_in_what_is_played():
    """Breakout's cartridge starts with mode 0, difficulty 0."""
    config = atari(max_episode_steps=200)
    config = dataclasses.replace(config, evaluation=EvaluationConfig(episodes=4))
    params = network_of(config).init(jax.random.key(0))
    params = jax.tree.map(lambda x: x[None], params)
    chosen = [None, Flavour(0, 0), Flavour(0, 1)]
    default, explicit, hard = evaluate_flavours(config, chosen, params, 0)
    assert (default.returns, default.lengths) == (explicit.returns, explicit.lengths)
    assert default.lengths != hard.lengths  # difficulty 1: a narrower paddle
    assert explicit.drop == 0
    expected = np.std(default.returns, ddof=1) / np.sqrt(4)
    np.testing.assert_allclose(default.return_se, expected)
    np.testing.assert_allclose(hard.drop_se, np.hypot(default.return_se, hard.return_se))


def test_all_is_every_mode_with_every_difficulty():
    config = atari("Freeway-v5")
    played = flavours_to_play(config, "all")
    assert played == [Flavour(mode, difficulty) for mode in range(8) for difficulty in (0, 1)]
    assert flavours_to_play(config, None) == [Flavour(0, 0)]
    hard = atari("Freeway-v5", difficulty=1)
    assert flavours_to_play(hard, "all,default")[:2] == [Flavour(0, 1), Flavour(0, 0)]
    assert len(flavours_to_play(hard, "all")) == 16


@pytest.mark.parametrize(
    ("config", "wanted", "words"),
    [
        (atari(), "77:0", ["--flavours 77:0", "Breakout-v5 has 0:0 0:1 4:0"]),
        (atari(), "4:0,hard", ["--flavours hard", "MODE:DIFFICULTY"]),
        (atari(), "4", ["--flavours 4:", "MODE:DIFFICULTY"]),
        (atari("ALE/Breakout-v5"), "all", ["ALE/Breakout-v5", "train Breakout-v5"]),
        (
            dataclasses.replace(atari(), env=EnvConfig("CartPole-v1")),
            "default",
            ["CartPole-v1", "Atari games have them"],
        ),
    ],
)
def test_flavours_that_are_not_there_are_one_line_with_those_that_are(config, wanted, words):
    with pytest.raises(SettingsError) as error:
        flavours_to_play(config, wanted)
    said = str(error.value)
    assert "\n" not in said
    for word in words:
        assert word in said


def test_nothing_is_written_into_a_run(run_dir):
    for run, args in (
        (evaluate.run, parse(Evaluate, str(run_dir), "--out", str(run_dir / "x.json"))),
        (record.run, parse(Record, str(run_dir), "--out", str(run_dir / "videos"))),
    ):
        with pytest.raises(SettingsError, match="only read"):
            run(args)


def test_impossible_numbers_of_games_are_refused(run_dir):
    for run, command in ((evaluate.run, Evaluate), (record.run, Record)):
        with pytest.raises(SettingsError, match="--episodes must be at least 1, got 0"):
            run(parse(command, str(run_dir), "--episodes", "0"))


def test_a_directory_without_a_policy_is_named(tmp_path, run_dir):
    for which in ("last", "best"):
        with pytest.raises(Exception, match=r"nowhere") as error:
            evaluate.run(parse(Evaluate, str(tmp_path / "nowhere"), "--checkpoint", which))
        assert not isinstance(error.value, OSError)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_bytes((run_dir / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match="no checkpoint"):
        evaluate.run(parse(Evaluate, str(empty)))


def test_a_run_is_filmed(atari_run, tmp_path, capsys):
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra `video`")
    run = atari_run(atari(max_episode_steps=10))
    assert record.run(parse(Record, str(run), "--episodes", "2", "--out", str(tmp_path / "v"))) == 0
    assert sorted(p.name for p in (tmp_path / "v").iterdir()) == [
        "Breakout-v5-7.gif",
        "Breakout-v5-7.mp4",
    ]
    said = capsys.readouterr().out
    assert said.count("in 10 env steps") == 2
    assert "22 pictures" in said


@pytest.mark.parametrize("missing", ["imageio_ffmpeg", "pygame"])
def test_a_missing_extra_is_named(missing, run_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SettingsError, match=r"pip install 'rl-eval\[video\]'"):
        record.run(parse(Record, str(run_dir), "--out", str(tmp_path)))


def test_what_cannot_be_filmed_is_one_line(atari_run, tmp_path):
    run = atari_run(atari("ALE/Pong-v5"))
    with pytest.raises(SettingsError, match="cannot be filmed"):
        record.run(parse(Record, str(run), "--out", str(tmp_path)))
