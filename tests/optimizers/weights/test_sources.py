"""Names lead to weights, and where there are none the message says how to get them."""

from __future__ import annotations

import json

import chex
import jax
import pytest

from optimizers import weights
from optimizers.weights import files, sources
from optimizers.weights.templates import TEMPLATES, WeightsError


def make_theta(optimizer: str) -> weights.Theta:
    return weights.initial(optimizer, jax.random.key(0))


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A stand-in for the folder of shipped weights; call it to add an entry."""
    entries = {}

    def add(name: str, optimizer: str, **changes):
        data = files.encode(make_theta(optimizer))
        (tmp_path / f"{name}.msgpack").write_bytes(data)
        entries[name] = {
            "file": f"{name}.msgpack",
            "optimizer": optimizer,
            "sha256": files.sha256_of(data),
            "bytes": len(data),
        } | changes
        (tmp_path / "manifest.json").write_text(json.dumps({"weights": entries}))
        sources.manifest.cache_clear()

    monkeypatch.setattr(sources, "_SHIPPED", tmp_path)
    monkeypatch.delenv("RL_EVAL_WEIGHTS", raising=False)
    (tmp_path / "manifest.json").write_text(json.dumps({"weights": entries}))
    sources.manifest.cache_clear()
    yield add
    sources.manifest.cache_clear()


def test_shipped_files_are_what_the_manifest_says():
    for name, entry in weights.manifest().items():
        data = (sources._SHIPPED / entry["file"]).read_bytes()
        assert len(data) == entry["bytes"], name
        assert files.sha256_of(data) == entry["sha256"], name
        assert entry["licence"] == "Apache-2.0", name
        assert "not the weights released by the authors" in entry["provenance"], name
        assert "metric" in entry, name
        weights.load(name, entry["optimizer"])


def test_shipped_weights_say_how_they_were_meta_trained_or_that_they_were_not():
    for name, entry in weights.manifest().items():
        if "command" not in entry:
            assert "built by hand and not meta-trained" in entry["provenance"], name
            continue
        command = entry["command"]
        assert f"--optimizer {entry['optimizer']} " in command, name
        assert f"--iterations {entry['iterations']} --seed {entry['seed']} " in command, name
        assert {"data_version", "wall_clock_s", "hardware"} <= entry.keys(), name


def test_none_is_the_optimizers_own_shipped_weights(shipped):
    shipped("celo2", "celo2")
    theta, provenance = weights.resolve(None, "celo2")
    chex.assert_trees_all_equal(theta, make_theta("celo2"))
    assert provenance.source == "shipped:celo2"


def test_rules_of_one_form_can_share_weights(shipped):
    shipped("celo2-base-seed1", "celo2-base")
    chex.assert_trees_all_equal(weights.load("celo2-base-seed1", "celo2"), make_theta("celo2"))


def test_damaged_shipped_file_is_refused(shipped):
    shipped("celo2", "celo2", sha256="0" * 64)
    with pytest.raises(WeightsError, match="reinstall"):
        weights.load("celo2", "celo2")


@pytest.mark.parametrize("optimizer", TEMPLATES)
def test_without_weights_the_message_says_how_to_get_them(shipped, optimizer):
    with pytest.raises(WeightsError) as error:
        weights.or_default(None, optimizer)
    message = str(error.value)
    assert "\n" not in message
    for way in ("--set weights=PATH", f"load(PATH, '{optimizer}')", "RL_EVAL_WEIGHTS"):
        assert way in message


def test_stand_in_is_named_only_where_it_ships(shipped):
    with pytest.raises(WeightsError) as error:
        weights.load(None, "velo")
    assert "velo-s" not in str(error.value)
    shipped("velo-s", "velo-s")
    with pytest.raises(WeightsError, match=r"velo-s \(.*\) ships"):
        weights.load(None, "velo")


def test_folder_of_the_user_supplies_names(shipped, tmp_path, monkeypatch):
    monkeypatch.setenv("RL_EVAL_WEIGHTS", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    weights.save(tmp_path / "mine" / "velo.npz", make_theta("velo"))
    theta, provenance = weights.resolve(None, "velo")
    chex.assert_trees_all_equal(theta, make_theta("velo"))
    assert provenance.source == str(tmp_path / "mine" / "velo.npz")


def test_unknown_names_are_explained(shipped):
    shipped("celo2", "celo2")
    with pytest.raises(WeightsError, match=r"'cello2'.*not a shipped name \(celo2\)"):
        weights.load("cello2", "celo2")
    with pytest.raises(WeightsError, match="'adamw' is not an optimizer with weights"):
        weights.load(None, "adamw")


def test_given_theta_is_checked():
    theta = make_theta("celo2")
    chex.assert_trees_all_equal(weights.or_default(theta, "celo2-base"), theta)
    with pytest.raises(WeightsError, match="velo weights lack"):
        weights.or_default(theta, "velo")
