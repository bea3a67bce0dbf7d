"""Weights survive the way to disk and back, and no file can hurt."""

from __future__ import annotations

import collections
import io
import zipfile
from pathlib import Path

import chex
import flax.serialization
import jax
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizers import weights
from optimizers.weights import files, templates
from optimizers.weights.templates import TEMPLATES, WeightsError


def make_theta(optimizer: str) -> weights.Theta:
    """Random numbers in every leaf, also in those that are zero to begin with."""
    theta = weights.initial(optimizer, jax.random.key(0), H=6, P=3, D=5)
    return jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), theta)


def replaced(theta: weights.Theta, path: tuple[str, ...], leaf: object) -> weights.Theta:
    leaves = dict(templates.leaves_of(theta))
    leaves[path] = leaf
    return templates.nest(leaves)


@pytest.mark.parametrize("suffix", [".msgpack", ".npz", ".theta.state"])
@pytest.mark.parametrize("optimizer", TEMPLATES)
def test_saved_weights_load_unchanged(tmp_path, optimizer, suffix):
    theta = make_theta(optimizer)
    path = tmp_path / f"x{suffix}"
    sha256 = weights.save(path, theta)
    loaded, provenance = weights.resolve(path, optimizer)
    chex.assert_trees_all_equal(loaded, theta)
    assert provenance == weights.Provenance(str(path), None, sha256)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_bytes_are_those_of_flax():
    theta = make_theta("mlp-lopt")
    assert files.encode(theta) == flax.serialization.to_bytes(theta)


def test_key_order_does_not_matter():
    theta = make_theta("velo")
    turned = templates.nest(dict(reversed(list(templates.leaves_of(theta)))))
    assert files.encode(turned) != files.encode(theta)
    chex.assert_trees_all_equal(files.decode(files.encode(turned), "velo"), theta)


def test_named_tuples_count_as_maps(tmp_path):
    theta = make_theta("celo")
    lstm = collections.namedtuple("State", ["hidden", "cell"])(**theta["lstm_init_state"])
    weights.save(tmp_path / "x", {**theta, "lstm_init_state": lstm})
    chex.assert_trees_all_equal(weights.load(tmp_path / "x", "celo"), theta)
    chex.assert_trees_all_equal(weights.check({**theta, "lstm_init_state": lstm}, "celo"), theta)


def test_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="missing"):
        weights.save(tmp_path / "missing" / "x.msgpack", make_theta("celo2"))
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        weights.save(tmp_path / "taken", make_theta("celo2"))
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("path", "leaf", "message"),
    [
        (
            ("rnn_params", "rnn/linear", "w"),
            np.zeros((12, 20), np.float32),
            r"rnn_params/rnn/linear/w has shape \(12, 20\), expected \(2H, 4H\), H = 6",
        ),
        (
            ("ff_mod_stack", "~", "w0__3"),
            np.zeros((3, 3, 4)),
            "ff_mod_stack/~/w0__3 is float64, expected float32",
        ),
        (
            ("ff_mod_stack", "~", "b2"),
            np.full((3, 3), np.nan, np.float32),
            "ff_mod_stack/~/b2 has values that are not finite",
        ),
        (("rnn_params", "extra"), np.zeros(3, np.float32), "leaf rnn_params/extra that does not"),
        (("rnn_params", "step_size", "b"), 1.0, "step_size/b is a float, expected an array"),
    ],
)
def test_first_wrong_leaf_is_named(path, leaf, message):
    with pytest.raises(WeightsError, match=message):
        weights.check(replaced(make_theta("velo"), path, leaf), "velo")


def test_missing_leaf_is_named():
    theta = make_theta("celo-adam")
    del theta["rnn_params"]["step_size"]["w"]
    with pytest.raises(WeightsError, match=r"lack the leaf rnn_params/step_size/w \(H, 1\)"):
        weights.check(theta, "celo-adam")


def test_absurd_sizes_are_refused():
    wide = np.broadcast_to(np.float32(0), (1, templates.MAX_FREE_SIZE + 1))
    with pytest.raises(WeightsError, match="lstm_init_state/hidden has shape"):
        weights.check(replaced(make_theta("velo"), ("lstm_init_state", "hidden"), wide), "velo")


def test_weights_of_another_optimizer_are_refused(tmp_path):
    weights.save(tmp_path / "x.msgpack", make_theta("celo2"))
    with pytest.raises(WeightsError, match=r"x\.msgpack: velo weights lack the leaf"):
        weights.load(tmp_path / "x.msgpack", "velo")


def bomb(protocol: int) -> bytes:
    """A pickle that fails the test when it is opened: the call pytest.fail("opened")."""
    return bytes([0x80, protocol]) + b"cpytest\nfail\nX\x06\0\0\0opened\x85R."


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [*map(bomb, range(2, 6)), zipped("archive/data.pkl", bomb(2))],
    ids=["2", "3", "4", "5", "torch"],
)
def test_pickles_are_refused_with_the_way_out(data):
    with pytest.raises(WeightsError, match="hf:amoudgl/velo-4000"):
        files.decode(data, "velo")


def test_pickled_arrays_in_npz_are_refused():
    npy = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    np.lib.format.write_array_header_1_0(npy, header)
    with pytest.raises(WeightsError, match="expected float32"):
        files.decode(zipped("theta/b0.npy", npy.getvalue() + bomb(3)), "celo2")


def ext(shape: object, dtype: object, raw: bytes) -> msgpack.ExtType:
    return msgpack.ExtType(1, msgpack.packb((shape, dtype, raw)))


@pytest.mark.parametrize(
    "root",
    [
        {},
        [],
        7,
        None,
        "text",
        [1, 2],
        {"b0": ext([1 << 60], "float32", b"")},
        {"b0": ext([-1], "float32", b"1234")},
        {"b0": ext([1], "object", b"1234")},
        {"b0": ext(3, "float32", b"1234")},
        {"b0": ext([True], "float32", b"1234")},
        {"b0": msgpack.ExtType(2, b"12")},
        {"b0": msgpack.ExtType(1, b"")},
        {1: 2},
    ],
    ids=str,
)
def test_malformed_trees_are_refused(root):
    with pytest.raises(WeightsError):
        files.decode(msgpack.packb(root), "celo2")


def test_deep_nesting_is_refused():
    with pytest.raises(WeightsError):
        files.decode(b"\x81\xa1a" * 400 + b"\xc0", "celo2")
    with pytest.raises(WeightsError):
        files.decode(b"\x91" * 100_000, "celo2")


def test_duplicate_keys_are_refused():
    with pytest.raises(WeightsError, match="duplicate"):
        files.decode(b"\x82\xa1a\xc0\xa1a\xc0", "celo2")


def test_npz_that_unpacks_to_too_much_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in range(3):
            archive.writestr(f"theta/{part}.npy", bytes(100 << 20))
    assert len(buffer.getvalue()) < 1 << 20
    with pytest.raises(WeightsError, match="unpacks to more than"):
        files.decode(buffer.getvalue(), "celo2")


def test_npz_with_an_absurd_header_allocates_nothing():
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("theta/b0.npy", header.getvalue())
    with pytest.raises(WeightsError, match="0 bytes"):
        files.decode(buffer.getvalue(), "celo2")


def test_too_large_a_file_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    with (tmp_path / "x").open("wb") as file:
        file.truncate(2 << 20)
    with pytest.raises(WeightsError, match="larger than any weights file"):
        weights.load(tmp_path / "x", "celo2")


def _good(suffix: str) -> bytes:
    return files.encode(make_theta("celo2"), suffix)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    suffix=st.sampled_from([".msgpack", ".npz"]),
    cut=st.integers(0, 1 << 16),
    edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4),
    tail=st.binary(max_size=16),
)
def test_damaged_files_never_crash(suffix, cut, edits, tail):
    data = bytearray(_good(suffix))
    for place, byte in edits:
        data[place % len(data)] = byte
    damaged = bytes(data[: cut % (2 * len(data))]) + tail
    try:
        weights.check(files.decode(damaged, "celo2"), "celo2")
    except WeightsError:
        return
    assert len(damaged) >= 347 * 4  # whatever was accepted had room for all the numbers


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(data):
    with pytest.raises(WeightsError):
        files.decode(data, "velo")


@pytest.mark.parametrize("suffix", [".msgpack", ".npz"])
def test_truncation_and_trailing_garbage_are_refused(suffix):
    data = _good(suffix)
    for length in (1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(WeightsError):
            files.decode(data[:length], "celo2")
    if suffix == ".msgpack":
        with pytest.raises(WeightsError, match="extra data"):
            files.decode(data + b"\0", "celo2")


def test_reference_files_keep_their_bytes(golden: Path):
    """theta.state of the references, both ways, for every such file whose optimizer is known."""
    known = {"velo": "velo", "adafac": "mlp-lopt", "mulo": "mulo", "celo2": "celo2"}
    states = sorted(golden.glob("theta/*.theta.state"))
    assert len(states) >= 5
    for path in states:
        data = path.read_bytes()
        theta = files.decode(data, known[path.name.split("_")[0]])
        assert files.encode(theta) == data, path.name
