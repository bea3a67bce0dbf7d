"""`rl-eval train` as its user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rl_eval.cli.main import main

SMALL = ["--set", "num_envs=4", "--set", "num_steps=16", "--set", "hidden_sizes=[8]"]
CARTPOLE = ["train", "--env", "CartPole-v1", "--total-timesteps", "640", *SMALL]


def rl_eval(*args):
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    return stopped.value.code


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_a_run_ends_with_one_json_object_and_a_complete_directory(out, capsys):
    assert rl_eval(*CARTPOLE, "--out", str(out), "--json") == 0
    document = last_json(capsys)
    assert document["status"] == "completed"
    assert document["run_dir"] == str(out)
    assert document["env_steps"] == 640
    assert document["gradient_steps"] == 10 * 16
    assert document["seed"] == 0
    assert document["sps"] > 0
    assert document["compile_s"] > 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["env_steps"] for row in rows] == list(range(64, 641, 64))
    assert json.loads((out / "status.json").read_text())["status"] == "completed"


def test_the_config_of_a_run_repeats_it(out, capsys):
    assert rl_eval(*CARTPOLE, "--out", str(out), "--set", "learning_rate=1e-3") == 0
    again = out.with_name("again")
    assert rl_eval("train", "--config", str(out / "config.json"), "--out", str(again)) == 0

    def numbers(run):
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in row.items() if k not in ("wall_s", "sps")} for row in rows]

    assert numbers(out) == numbers(again)
    configs = [json.loads((run / "config.json").read_text())["config"] for run in (out, again)]
    assert configs[0] == configs[1]
    assert configs[0]["optimizer"]["hyperparameters"]["learning_rate"] == 1e-3


def test_several_seeds_get_a_directory_each(out, capsys):
    assert rl_eval(*CARTPOLE, "--out", str(out), "--seeds", "3,1", "--json") == 0
    document = last_json(capsys)
    assert document["seeds"] == [3, 1]
    assert sorted(p.name for p in out.iterdir()) == ["seed-1", "seed-3"]
    seeds = json.loads((out / "seed-1" / "config.json").read_text())["config"]["seeds"]
    assert seeds == [1]


def test_a_toml_file_is_overridden_by_set_and_by_flags(out, tmp_path, capsys):
    file = tmp_path / "my.toml"
    file.write_text(
        "total_timesteps = 1e6\n[env]\nid = 'CartPole-v1'\n[ppo]\nnum_envs = 4\nnum_steps = 16\n"
        "[hparams]\ngamma = 0.9\n[optimizer]\nname = 'sgd'\n"
    )
    args = ["train", "--config", str(file), "--set", "hparams.gamma=0.8"]
    assert rl_eval(*args, "--total-timesteps", "128", "--out", str(out)) == 0
    config = json.loads((out / "config.json").read_text())["config"]
    assert config["hparams"]["gamma"] == 0.8
    assert config["total_timesteps"] == 128
    assert config["optimizer"]["name"] == "sgd"


def test_a_users_own_optimizer_is_found_in_the_current_directory(out, tmp_path, capsys):
    (tmp_path / "my_optimizer.py").write_text(
        "import optax\n"
        "def make(learning_rate=1e-3, momentum=0.9):\n"
        "    return optax.sgd(learning_rate, momentum)\n"
    )
    name = "my_optimizer:make"
    args = [*CARTPOLE, "--optimizer", name, "--set", "momentum=0.5", "--out", str(out), "--json"]
    assert rl_eval(*args) == 0
    assert last_json(capsys)["optimizer"] == name
    config = json.loads((out / "config.json").read_text())["config"]
    expected = {"learning_rate": 1e-3, "momentum": 0.5}
    assert config["optimizer"]["hyperparameters"] == expected


def test_missing_weights_are_one_line_with_exit_1_and_nothing_written(out, capsys):
    args = [*CARTPOLE, "--optimizer", "velo", "--set", "weights=nowhere.msgpack"]
    assert rl_eval(*args, "--out", str(out)) == 1
    said = capsys.readouterr().err
    assert "nowhere.msgpack" in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_learned_optimizer_trains_and_its_weights_are_on_record(out, golden, capsys):
    theta = golden / "theta" / "celo2_seed0.theta.state"
    args = [*CARTPOLE, "--optimizer", "celo2-base", "--set", f"weights={theta}"]
    assert rl_eval(*args, "--out", str(out)) == 0
    used = json.loads((out / "config.json").read_text())["provenance"]["weights"]
    assert used["source"] == str(theta)
    assert len(used["sha256"]) == 64


def test_divergence_has_its_own_exit_code_and_status(out, capsys):
    args = [*CARTPOLE, "--optimizer", "sgd", "--set", "learning_rate=1e12", "--out", str(out)]
    assert rl_eval(*args, "--json") == 3
    assert last_json(capsys)["status"] == "diverged"
    status = json.loads((out / "status.json").read_text())
    assert status["status"] == "diverged"
    assert status["diverged_at"] == 0


def test_a_run_is_never_overwritten_unless_asked(out, capsys):
    assert rl_eval(*CARTPOLE, "--out", str(out)) == 0
    before = (out / "metrics.jsonl").read_bytes()
    assert rl_eval(*CARTPOLE, "--out", str(out)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "metrics.jsonl").read_bytes() == before
    assert rl_eval(*CARTPOLE, "--out", str(out), "--overwrite") == 0


def test_overwrite_deletes_nothing_but_runs(out, capsys):
    out.mkdir()
    (out / "thesis.tex").write_text("ten years")
    assert rl_eval(*CARTPOLE, "--out", str(out), "--overwrite") == 2
    assert (out / "thesis.tex").read_text() == "ten years"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--env", "Brekout-MinAtar"], ["Brekout-MinAtar", "Breakout-MinAtar"]),
        (["--env", "CartPole-v1", "--optimizer", "adamm"], ["adamm", "adamw"]),
        (["--env", "CartPole-v1", "--optimizer", "no.such:thing"], ["no.such:thing"]),
        (
            ["--env", "CartPole-v1", "--set", "num_minibatches=7"],
            ["num_minibatches=7", "4*128 = 512"],
        ),
        (["--env", "CartPole-v1", "--set", "num_envs=abc"], ["ppo.num_envs", "integer", "'abc'"]),
        (["--env", "CartPole-v1", "--set", "num_envs=true"], ["ppo.num_envs", "integer", "True"]),
        (["--env", "CartPole-v1", "--set", "gamma=1.5"], ["gamma", "[0, 1]", "1.5"]),
        (["--env", "CartPole-v1", "--set", "learning_rate=x"], ["learning_rate", "number", "'x'"]),
        (["--env", "CartPole-v1", "--set", "schedule=cubic"], ["schedule", "cubic", "cosine"]),
        (["--env", "CartPole-v1", "--set", "gama=0.9"], ["gama", "gamma"]),
        (["--env", "CartPole-v1", "--set", "gamma"], ["gamma", "key=value"]),
        (["--env", "CartPole-v1", "--set", "hidden_sizes=[a]"], ["network.hidden_sizes.0", "'a'"]),
        (["--env", "CartPole-v1", "--total-timesteps", "-5"], ["total_timesteps=-5", "512"]),
        (["--env", "CartPole-v1", "--total-timesteps", "0.5"], ["total_timesteps", "integer"]),
        (["--env", "CartPole-v1", "--seeds", "0,x"], ["--seeds", "0,x"]),
        (["--env", "CartPole-v1", "--seeds", "1,1"], ["seeds", "distinct"]),
        (["--env", "CartPole-v1", "--config", "none.toml"], ["none.toml", "No such file"]),
        (["--env", "CartPole-v1", "--protocol", "machado"], ["--protocol", "Atari"]),
        (["--env", "CartPole-v1", "--set", "torso=nature-cnn"], ["nature-cnn", "mlp"]),
        (["--env", "CartPole-v1", "--env-path", "host"], ["CartPole-v1", "host"]),
        ([], ["--env"]),
        (["--env", "CartPole-v1", "--batch", "3"], ["--batch"]),
    ],
)
def test_a_mistake_is_named_in_one_message_with_exit_2_and_nothing_written(
    args, words, out, capsys
):
    assert rl_eval("train", *args, "--out", str(out)) == 2
    captured = capsys.readouterr()
    said = captured.err + captured.out
    for word in words:
        assert word in said, said
    assert "Traceback" not in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("num_envs: 4", ["unknown key num_envs"]),
        ("ppo: {num_envz: 4}", ["ppo.num_envz", "num_envs"]),
        ("ppo: 3", ["ppo"]),
        ("seeds: zero", ["seeds", "'zero'"]),
        ("- 1", ["mapping"]),
        ("a: [", ["not valid yaml"]),
    ],
)
def test_a_mistake_in_a_file_names_the_file_and_the_key(text, words, out, tmp_path, capsys):
    file = tmp_path / "my.yaml"
    file.write_text(text)
    args = ["train", "--env", "CartPole-v1", "--config", str(file), "--out", str(out)]
    assert rl_eval(*args) == 2
    said = capsys.readouterr().err
    for word in ("my.yaml", *words):
        assert word in said, said
    assert not out.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_so_in_its_record_and_exit_code(number, code, out):
    command = [sys.executable, "-m", "rl_eval.cli.main", "train", "--env", "CartPole-v1", *SMALL]
    process = subprocess.Popen(
        [*command, "--total-timesteps", "1e9", "--set", "log_every=10", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    status = json.loads((out / "status.json").read_text())
    assert status["status"] == "failed"
    assert status["reason"]
