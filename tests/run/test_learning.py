"""The main job, end to end: the suite learns what PPO is known to learn."""

from __future__ import annotations

import json
import math

import pytest

from rl_eval.cli.main import main


def train(out, *args):
    """Lines of metrics of a run that must complete, by seed directory."""
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--out", str(out), *args])
    assert stopped.value.code == 0
    return {
        file.parent.name: [json.loads(line) for line in file.read_text().splitlines()]
        for file in sorted(out.glob("**/metrics.jsonl"))
    }


def best_return(rows, games):
    """Highest mean full-game return over consecutive lines that hold at least `games` games."""
    best, window = -math.inf, []
    for row in rows:
        if row["episodes"]:
            window.append((row["episodes"], row["episode_return_mean"]))
        while sum(n for n, _ in window[1:]) >= games:
            window.pop(0)
        total = sum(n for n, _ in window)
        if total >= games:
            best = max(best, sum(n * mean for n, mean in window) / total)
    return best


@pytest.mark.slow
def test_cartpole_reaches_475_within_500k_steps_on_three_of_three_seeds(tmp_path):
    runs = train(tmp_path / "run", "--env", "CartPole-v1", "--seeds", "0,1,2")
    assert len(runs) == 3
    for rows in runs.values():
        assert rows[-1]["env_steps"] <= 500_000
        assert best_return(rows, games=20) >= 475


@pytest.mark.slow
def test_breakout_minatar_passes_8_within_1m_steps(tmp_path):
    (rows,) = train(
        tmp_path / "run", "--env", "Breakout-MinAtar", "--total-timesteps", "1e6"
    ).values()
    assert rows[-1]["env_steps"] <= 1_000_000
    assert best_return(rows, games=100) > 8


@pytest.mark.slow
@pytest.mark.parametrize("path", ["xla", "host"])
@pytest.mark.parametrize("game", ["Pong-v5", "Breakout-v5"])
def test_atari_runs_5k_steps_with_finite_losses_on_both_paths(game, path, tmp_path):
    args = ["--env", game, "--env-path", path, "--total-timesteps", "5120"]
    (rows,) = train(tmp_path / "run", *args).values()
    assert rows[-1]["env_steps"] == 5120
    assert rows[-1]["frames"] == 4 * 5120
    for row in rows:
        assert math.isfinite(row["loss"])
        assert row["grad_norm"] > 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["provenance"]["env_path"] == path


def test_a_probe_answers_its_users_question_in_seconds(tmp_path):
    (rows,) = train(tmp_path / "run", "--env", "probe/two-step").values()
    assert rows[-1]["episode_return_mean"] == 1.0
    assert rows[-1]["explained_variance"] > 0.9
