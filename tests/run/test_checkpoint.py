"""Checkpoints: whole or not there, checked, the last few and the best."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.run import checkpoint
from rl_eval.run.checkpoint import CheckpointError

TREE = {
    "params": [jnp.arange(6, dtype=jnp.float32).reshape(2, 3), jnp.ones(2, jnp.bfloat16)],
    "key": jax.random.split(jax.random.key(7), 2),
    "none": None,
    "empty": jnp.zeros((0, 3)),
    "count": jnp.int32(5),
    "frames": jnp.full((2, 2), 200, jnp.uint8),
    "flag": jnp.array([True, False]),
}


def save(folder, iteration, tree=TREE, score=None):
    checkpoint.save(folder, iteration, tree, {"wall_s": 1.5, "low": float("inf")}, "abc", score)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save(folder, 3)
    return folder


def test_what_is_loaded_is_bit_for_bit_what_was_saved(saved):
    stored = checkpoint.load(saved, 3, "abc")
    assert stored.iteration == 3
    assert stored.facts == {"wall_s": 1.5, "low": float("inf")}
    filled = checkpoint.fill(TREE, stored)
    assert jax.tree.structure(filled) == jax.tree.structure(TREE)
    for new, old in zip(jax.tree.leaves(filled), jax.tree.leaves(TREE), strict=True):
        assert new.dtype == old.dtype
        words = [jax.random.key_data(x) if "key" in str(x.dtype) else x for x in (new, old)]
        assert np.asarray(words[0]).tobytes() == np.asarray(words[1]).tobytes()


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg", "threefry2x32"])
def test_keys_of_any_implementation_draw_the_same_after_a_restart(tmp_path, implementation):
    tree = {"key": jax.random.split(jax.random.key(3, impl=implementation), 2)}
    save(tmp_path, 1, tree)
    stored = checkpoint.load(tmp_path, 1, "abc")
    for like in (tree, jax.eval_shape(lambda: tree)):
        key = checkpoint.fill(like, stored)["key"]
        assert jax.random.key_impl(key) == implementation
        assert jax.random.bits(key[1]) == jax.random.bits(tree["key"][1])


def test_the_last_two_and_the_best_stay(tmp_path):
    for iteration, score in enumerate([None, 3.0, 9.0, 1.0, None, 2.0, None], 1):
        save(tmp_path, iteration, {"x": jnp.zeros(2)}, score)
    assert checkpoint.iterations(tmp_path) == [7, 6, 3]
    assert checkpoint.best(tmp_path) == 3


def test_a_part_left_by_a_killed_writer_is_never_read_and_goes_away(tmp_path):
    save(tmp_path, 1)
    (tmp_path / ".part-000000002-99").mkdir()
    assert checkpoint.iterations(tmp_path) == [1]
    save(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000000001", "000000002"]


def test_another_configuration_is_refused_by_name(saved):
    with pytest.raises(CheckpointError, match=r"configuration abc, this run is abd"):
        checkpoint.load(saved, 3, "abd")


@pytest.mark.parametrize(
    ("wrong", "leaf"),
    [
        ({**TREE, "count": jnp.int32([5])}, "count"),
        ({**TREE, "flag": jnp.zeros(2)}, "flag"),
        ({**TREE, "more": jnp.zeros(2)}, "more"),
    ],
)
def test_the_first_leaf_that_does_not_fit_is_named(saved, wrong, leaf):
    with pytest.raises(CheckpointError, match=leaf):
        checkpoint.fill(wrong, checkpoint.load(saved, 3, "abc"))


def files(folder):
    return sorted(p for p in (folder / "000000003").rglob("*") if p.is_file())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_flipped_bit_and_no_cut_file_gets_through(saved, data):
    file = data.draw(st.sampled_from(files(saved)))
    whole = file.read_bytes()
    at = data.draw(st.integers(0, max(0, len(whole) - 1)))
    if whole and data.draw(st.booleans()):
        flipped = whole[at] ^ (1 << data.draw(st.integers(0, 7)))
        broken = whole[:at] + bytes([flipped]) + whole[at + 1 :]
    else:
        broken = whole[:at]
    if broken == whole:
        return
    file.write_bytes(broken)
    try:
        with pytest.raises(CheckpointError, match=file.name.replace("+", ".")):
            checkpoint.load(saved, 3, "abc")
    finally:
        file.write_bytes(whole)


def test_a_missing_file_is_named(saved):
    file = files(saved)[0]
    moved = file.rename(saved / "elsewhere")
    try:
        with pytest.raises(CheckpointError, match="missing"):
            checkpoint.load(saved, 3, "abc")
    finally:
        moved.rename(file)


def test_a_full_disk_is_one_clear_error_and_the_last_good_checkpoint_stays(small_disk):
    save(small_disk, 1)
    with pytest.raises(CheckpointError, match="could not be written") as full:
        save(small_disk, 2, {"x": np.random.default_rng(0).random(1_000_000)})
    assert "\n" not in str(full.value)
    assert checkpoint.iterations(small_disk) == [1]
    checkpoint.fill(TREE, checkpoint.load(small_disk, 1, "abc"))
    assert [p.name for p in small_disk.iterdir()] == ["000000001"]


def forged(folder, change):
    """The checkpoint with an index that is changed and has a right checksum."""
    file = folder / "000000003" / "index.json"
    document = json.loads(file.read_text().split("\n", 1)[1])
    change(document)
    text = json.dumps(document)
    file.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("leaves"),
        lambda d: d.update(leaves=[["a", [2**62, 2**62], "float32"]]),
        lambda d: d.update(leaves=[["a", [-1], "float32"]]),
        lambda d: d.update(leaves=[["a", [1], "object"]]),
        lambda d: d.update(leaves=7),
        lambda d: d.update(score="high"),
        lambda d: d.update(score=10**400),
        lambda d: d.update(iteration=4),
        lambda d: d.update(facts=None),
        lambda d: d["files"].update({"../../secret": "0"}),
        lambda d: d["files"].update({"/dev/zero": "0"}),
        lambda d: d.update(format=10**30),
    ],
)
def test_an_index_that_nobody_of_us_wrote_is_one_clear_error(saved, tmp_path, change):
    shutil.copytree(saved, tmp_path / "copy")
    forged(tmp_path / "copy", change)
    with pytest.raises(CheckpointError, match="000000003"):
        checkpoint.load(tmp_path / "copy", 3, "abc")


def test_arrays_of_other_sizes_than_the_index_says_are_not_read(tmp_path):
    small = {"x": jnp.zeros(4), "y": jnp.zeros(3)}
    save(tmp_path, 3, {"x": jnp.zeros((1000, 1000)), "y": jnp.zeros(3)})
    forged(tmp_path, lambda d: d["leaves"][0].__setitem__(1, [4]))
    with pytest.raises(CheckpointError, match="not of the sizes that its index says"):
        checkpoint.fill(small, checkpoint.load(tmp_path, 3, "abc"))


def test_arrays_that_nobody_asks_for_stay_on_the_disk(tmp_path, monkeypatch):
    save(tmp_path, 3, {"x": jnp.arange(4.0), "huge": jnp.zeros((1000, 1000))})
    asked = []
    real = checkpoint._partly
    monkeypatch.setattr(checkpoint, "_partly", lambda p, n: asked.extend(n) or real(p, n))
    filled = checkpoint.fill({"x": jnp.zeros(4)}, checkpoint.load(tmp_path, 3, "abc"))
    assert filled["x"].tolist() == [0, 1, 2, 3]
    assert asked == ["1"]
