"""Safetensors load as the other files do, and what people give by mistake is called by its name."""

from __future__ import annotations

import gzip
import json

import chex
import jax
import numpy as np
import pytest
import safetensors.numpy

from optimizers import weights
from optimizers.weights import files, templates
from optimizers.weights.templates import WeightsError


@pytest.fixture(scope="module")
def theta():
    drawn = weights.initial("celo2", jax.random.key(0))
    return jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), drawn)


def as_pylo(theta):
    """The arrays of Celo2 under the names that pylo's CELO2MLP gives them."""
    network = theta["ff_mod_stack"]["~"]
    named = {f"w0.{i}": network[f"w0__{i}"] for i in range(14)}
    named |= {"b0": network["b0"]}
    named |= {f"dense_w.{i}": network[f"w{i + 1}"] for i in range(2)}
    return named | {f"dense_b.{i}": network[f"b{i + 1}"] for i in range(2)}


def as_ours(theta):
    return {templates.name_of(path): leaf for path, leaf in templates.leaves_of(theta)}


@pytest.mark.parametrize("layout", [as_pylo, as_ours])
def test_safetensors_load_as_they_were_saved(theta, tmp_path, layout):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.numpy.save(layout(theta), metadata={"format": "pt"}))
    loaded, provenance = weights.resolve(path, "celo2-base")
    chex.assert_trees_all_equal(loaded, theta)
    assert provenance.sha256 == files.sha256_of(path.read_bytes())


def test_weights_in_the_folder_may_be_safetensors(theta, tmp_path, monkeypatch):
    monkeypatch.setenv("RL_EVAL_WEIGHTS", str(tmp_path))
    (tmp_path / "mirror.safetensors").write_bytes(safetensors.numpy.save(as_pylo(theta)))
    chex.assert_trees_all_equal(weights.load("mirror", "celo2"), theta)


def with_header(header, payload=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


def changed(theta, **arrays):
    return safetensors.numpy.save({**as_pylo(theta), **arrays})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: changed(t, b0=np.zeros(8)), "b0 in it is F64, expected F32"),
        (lambda t: changed(t, b0=np.zeros(9, np.float32)), r"b0 has shape \(9,\), expected \(8,\)"),
        (lambda t: changed(t, b0=np.full(8, np.nan, np.float32)), "b0 has values that are not fin"),
        (lambda t: changed(t, extra=np.zeros(1, np.float32)), "a leaf extra that does not belong"),
        (lambda t: changed(t, **{"w0.14": np.zeros((3, 8), np.float32)}), "a leaf w0__14|w0__14"),
        (
            lambda t: changed(t, **{"network.input.weight": np.zeros((32, 39), np.float32)}),
            "layout of pylo's MetaMLP, which lacks the decays",
        ),
        (lambda t: changed(t, **{"w0.03": t["ff_mod_stack"]["~"]["w0__3"]}), "two arrays in it"),
        (lambda t: changed(t)[:-4], "damaged or truncated safetensors"),
        (lambda t: changed(t)[:300], r"truncated safetensors file \(its header claims"),
        (lambda t: b"\xff\xff\xff\x7f\0\0\0\0{", r"its header claims 2,147,483,647 bytes"),
        (lambda t: with_header({"b0": 3}), "damaged or truncated safetensors"),
        (
            lambda t: with_header(
                {"b0": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, b"\0" * 4
            ),
            "damaged or truncated safetensors",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_or_foreign_safetensors_are_refused(theta, make, message):
    with pytest.raises(WeightsError, match=message):
        files.decode(make(theta), "celo2", "x.safetensors")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 1833\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "theta.state is empty"),
        (LFS, "is a pointer of Git LFS, not the file: fetch that with `git lfs pull`"),
        (b"<!DOCTYPE html>\n<html><head>", "is a web page, not the file: .*/resolve/"),
        (b"\xef\xbb\xbf  <html lang=en>", "is a web page"),
        (b'<?xml version="1.0"?><Error/>', "is a web page"),
        (gzip.compress(b"x", mtime=0), "is compressed with gzip"),
        (b"\x80\x04K\x01.", "is a pickle"),
        (b"just text", "none of flax msgpack, npz and safetensors"),
    ],
)
def test_what_is_given_by_mistake_is_called_by_its_name(data, message):
    with pytest.raises(WeightsError, match=message) as refused:
        files.decode(data, "celo2", "theta.state")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", [".msgpack", ".npz"])
def test_a_file_cut_short_is_called_truncated(theta, suffix):
    whole = files.encode(theta, suffix)
    with pytest.raises(WeightsError, match="truncated"):
        files.decode(whole[: len(whole) // 2], "celo2")
