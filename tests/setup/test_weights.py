"""A run keeps the weights it began with."""

from __future__ import annotations

import shutil

import pytest
from cli.test_train import CARTPOLE, rl_eval

from optimizers import registry, weights
from optimizers.weights import WeightsError, hub
from rl_eval.setup.configure import resolve
from rl_eval.setup.weights import recorded_weights, with_weights

COMMIT = "c" * 40


@pytest.fixture
def thetas(golden):
    """Two files of weights."""
    return tuple(golden / "theta" / f"celo2_seed{seed}.theta.state" for seed in (0, 1))


def configured(ref):
    return resolve(
        env="CartPole-v1", optimizer="celo2-base", flags={}, assignments=[f"weights={ref}"]
    )


def test_a_hub_reference_is_pinned_to_the_revision_that_was_seen(thetas, monkeypatch):
    asked = []

    def fetch(repo, file, revision=None):
        asked.append((repo, file, revision))
        return thetas[0].read_bytes(), COMMIT

    monkeypatch.setattr(hub, "fetch", fetch)
    config, used = with_weights(*configured("hf:some/repo"), None)
    pinned = config.optimizer.hyperparameters["weights"]
    assert pinned == f"hf:some/repo/theta.state@{COMMIT}"
    weights.load(pinned, "celo2-base")
    assert asked == [("some/repo", "theta.state", None), ("some/repo", "theta.state", COMMIT)]
    again, _ = with_weights(config, registry.get("celo2-base"), vars(used))
    assert again == config


def test_a_run_repeated_from_its_record_refuses_other_weights(thetas, tmp_path, capsys):
    mine, out = tmp_path / "mine.theta.state", tmp_path / "run"
    shutil.copy(thetas[0], mine)
    args = [*CARTPOLE, "--optimizer", "celo2-base", "--set", f"weights={mine}", "--no-cost"]
    assert rl_eval(*args, "--out", str(out)) == 0
    recorded = recorded_weights(out / "config.json")
    assert recorded["source"] == str(mine)
    shutil.copy(thetas[1], mine)
    repeat = ["train", "--config", str(out / "config.json"), "--out", str(tmp_path / "again")]
    assert rl_eval(*repeat) == 1
    assert recorded["sha256"] in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
    with pytest.raises(WeightsError, match="locked"):
        with_weights(*configured(mine), recorded)


def test_weights_named_anew_are_not_bound_by_the_record(thetas):
    old = {"source": str(thetas[0]), "revision": None, "sha256": "0" * 64}
    _, used = with_weights(*configured(thetas[1]), old)
    assert used.source == str(thetas[1])


@pytest.mark.parametrize("foreign", [None, {}, {"source": 1, "revision": 2, "sha256": 3}, "x"])
def test_a_foreign_record_binds_nothing(foreign, thetas):
    assert with_weights(*configured(thetas[0]), foreign)[1].source == str(thetas[0])
