"""Divergence is a result: recorded with its step, scored as stated, contagious to nobody."""

from __future__ import annotations

import json

import jax.numpy as jnp
import pytest
from cli.test_train import SMALL, rl_eval
from spoiled import Spoiled

from rl_eval.envs import registry
from rl_eval.envs.probes import ProbeEnv
from rl_eval.envs.scores import random_score
from rl_eval.prng import Purpose
from rl_eval.reading import eval_frame
from rl_eval.records.scored import lost_its_score

RUN = ["train", "--total-timesteps", "1280", *SMALL, "--no-cost"]


class NanRewardEnv(ProbeEnv):
    """A probe whose reward is not a number from its seventh step on."""

    def __init__(self, env_id, layout):
        super().__init__("probe/constant", layout)

    def step(self, state, action):
        after, step = super().step(state, action)
        reward = jnp.where(state.steps >= 7, jnp.nan, step.reward)
        return after, step._replace(reward=reward)


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bomb.py").write_text(
        "import jax, jax.numpy as jnp, optax\n"
        "def make(at=50, learning_rate=1e-3):\n"
        "    def init(params): return jnp.int32(0)\n"
        "    def update(grads, count, params=None):\n"
        "        scale = jnp.where(count == at, jnp.inf, -learning_rate)\n"
        "        return jax.tree.map(lambda g: g * scale, grads), count + 1\n"
        "    return optax.GradientTransformation(init, update)\n"
    )
    return tmp_path / "run"


def status(run):
    return json.loads((run / "status.json").read_text())


def rows(run, name="metrics.jsonl"):
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def test_a_rule_that_blows_up_at_step_50_is_stopped_there_and_scored_as_random(out):
    args = ["--env", "CartPole-v1", "--optimizer", "bomb:make", "--out", str(out)]
    evaluated = ["--eval-every", "320", "--eval-episodes", "2"]
    assert rl_eval(*RUN, *args, *evaluated) == 3
    ended = status(out)
    assert ended["status"] == "diverged"
    assert ended["diverged_at"] == ended["gradient_steps"] == 50
    floor = random_score("CartPole-v1")
    assert ended["final_return"] == ended["eval_return"] == floor
    first, *later = rows(out, "eval.jsonl")
    assert (first["diverged"], first["episodes"]) == (True, 0)
    assert first["returns"] == [floor, floor]
    assert later == []  # a run whose only seed has diverged has ended


def test_an_absurd_learning_rate_diverges(out):
    args = ["--env", "CartPole-v1", "--optimizer", "sgd", "--set", "learning_rate=1e6"]
    unclipped = ["--set", "max_grad_norm=null"]
    assert rl_eval(*RUN, *args, *unclipped, "--out", str(out)) == 3
    assert status(out)["diverged_at"] < 20


def test_a_reward_that_is_not_a_number_diverges_without_a_traceback(out, monkeypatch, capsys):
    monkeypatch.setattr(registry, "_registered", {})
    registry.register_pool("nan-reward", lambda layout: NanRewardEnv("x", layout), "probe")
    assert rl_eval(*RUN, "--env", "nan-reward", "--out", str(out), "--json") == 3
    assert status(out)["status"] == "diverged"
    assert status(out)["diverged_at"] == 0
    assert "Traceback" not in capsys.readouterr().err


def test_the_score_of_divergence_can_be_stated(out):
    args = ["--env", "CartPole-v1", "--optimizer", "bomb:make", "--set", "diverged_score=-3"]
    assert rl_eval(*RUN, *args, "--out", str(out)) == 3
    assert status(out)["final_return"] == -3


def test_an_evaluation_that_is_not_finite_is_null_in_every_record(out, monkeypatch, capsys):
    """Training here is sound; of the game's rewards only those of the evaluation are not."""
    monkeypatch.setattr(registry, "_registered", {})
    registry.register_pool(
        "spoiled", lambda lay: Spoiled(lay, (lay.purpose == Purpose.EVAL_ENV,)), "probe"
    )
    played = ["--eval-every", "1280", "--eval-episodes", "2", "--log", "tensorboard"]
    assert rl_eval(*RUN, "--env", "spoiled", *played, "--out", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["eval_return"] is None
    (row,) = rows(out, "eval.jsonl")
    assert (row["return_mean"], row["return_std"], row["returns"]) == (None, None, [None, None])
    assert (status(out)["status"], status(out)["eval_return"]) == ("completed", None)
    assert status(out)["final_return"] is not None  # of training, which is no score in its place
    assert lost_its_score(status(out))
    assert eval_frame(out)["return_mean"].to_list() == [None]
