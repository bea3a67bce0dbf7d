"""Downloads against a local server that speaks the hub's two calls (HEAD and GET of a file)."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import re
import threading
from pathlib import Path

import chex
import huggingface_hub.constants
import jax
import pytest

from optimizers import weights
from optimizers.weights import files, hub
from optimizers.weights.templates import WeightsError

COMMITS = {"main": "a" * 40, "b" * 40: "b" * 40}


def make_theta(optimizer: str) -> weights.Theta:
    return weights.initial(optimizer, jax.random.key(0))


@dataclasses.dataclass
class Hub:
    """What the server serves, how it misbehaves, and what it was asked."""

    url: str
    body: bytes
    etag: str
    files: str = "theta.state|sub/x.npz"
    faults: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # method -> queue
    commit: str | None = None  # instead of the right one
    asked: list[str] = dataclasses.field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        state = self.hub
        state.asked.append(self.command)
        queue = state.faults.get(self.command, [])
        fault = queue.pop(0) if queue else ""
        match = re.fullmatch(rf"/some/repo/resolve/(\w+)/({state.files})", self.path)
        if fault == "503" or match is None or match[1] not in COMMITS:
            self.send_response(503 if fault == "503" else 404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = int((re.search(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
        body = state.body[begin:]
        claimed = body[: len(body) // 2] if fault == "truncated" else body
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f'"{state.etag}"')
        self.send_header("X-Repo-Commit", state.commit or COMMITS[match[1]])
        if fault != "endless":
            self.send_header("Content-Length", str(len(claimed)))
        self.end_headers()
        while fault == "endless" and self.command == "GET":
            try:
                self.wfile.write(bytes(1 << 16))
            except OSError:
                return
        if self.command == "GET":
            self.wfile.write(claimed[: len(claimed) // 2] if fault == "dropped" else claimed)
        self.close_connection = True


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.01)
    monkeypatch.delenv("RL_EVAL_WEIGHTS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def server(cache, monkeypatch):
    body = files.encode(make_theta("celo2"))
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{listener.server_port}"
    Handler.hub = Hub(url, body, hashlib.sha256(body).hexdigest())
    monkeypatch.setenv("HF_ENDPOINT", url)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield Handler.hub
    listener.shutdown()
    listener.server_close()
    thread.join()


def half_written(cache: Path) -> list[Path]:
    """Weights in the cache that are not whole."""
    blobs = [path for path in cache.rglob("*") if path.is_file() and "blobs" in path.parts]
    return [path for path in blobs if path.read_bytes() != Handler.hub.body]


def test_download_is_cached_and_says_where_it_came_from(server, cache):
    theta, provenance = weights.resolve("hf:some/repo", "celo2")
    chex.assert_trees_all_equal(theta, make_theta("celo2"))
    assert provenance == weights.Provenance("hf:some/repo/theta.state", "a" * 40, server.etag)
    weights.load("hf:some/repo", "celo2")
    assert server.asked.count("GET") == 1


def test_named_file_and_git_blob_hash(server):
    blob = b"blob %d\0" % len(server.body) + server.body
    server.etag = hashlib.sha1(blob).hexdigest()
    _, provenance = weights.resolve("hf:some/repo/sub/x.npz", "celo2")
    assert provenance.source == "hf:some/repo/sub/x.npz"
    assert provenance.revision == "a" * 40


def test_lock_fetches_its_revision_and_then_needs_no_network(server, monkeypatch):
    lock = weights.Provenance("hf:some/repo/theta.state", "b" * 40, server.etag)
    _, provenance = weights.resolve("hf:some/repo", "celo2", lock=lock)
    assert provenance == lock
    server.asked.clear()
    assert weights.resolve("hf:some/repo", "celo2", lock=lock)[1] == lock
    assert server.asked == []


def test_lock_refuses_other_content(server):
    lock = weights.Provenance("hf:some/repo/theta.state", "b" * 40, "0" * 64)
    with pytest.raises(WeightsError, match="this run is locked to 000"):
        weights.resolve("hf:some/repo", "celo2", lock=lock)


@pytest.mark.parametrize(
    "faults",
    [
        {"HEAD": ["503"]},
        {"GET": ["503"]},
        {"GET": ["truncated"]},
        {"GET": ["dropped"]},
        {"HEAD": ["503"], "GET": ["dropped", "truncated"]},
    ],
    ids=str,
)
def test_passing_faults_are_survived(server, cache, faults):
    server.faults = faults
    chex.assert_trees_all_equal(weights.load("hf:some/repo", "celo2"), make_theta("celo2"))
    assert half_written(cache) == []


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ({"HEAD": ["503"] * 50}, "the hub answered 503"),
        ({"GET": ["503"] * 50}, "the hub answered 503"),
        ({"GET": ["truncated"] * 50}, "the download broke"),
    ],
    ids=["503 HEAD", "503 GET", "truncated"],
)
def test_lasting_faults_give_one_line_and_no_half_written_cache(server, cache, faults, reason):
    server.faults = faults
    with pytest.raises(WeightsError, match=reason) as error:
        weights.load("hf:some/repo", "celo2")
    message = str(error.value)
    assert "\n" not in message
    assert "$RL_EVAL_WEIGHTS/some/repo/theta.state" in message
    assert "--set weights=PATH" in message
    assert half_written(cache) == []


def test_wrong_checksum_is_refused_and_not_kept(server, cache):
    announced, server.etag = server.etag, "c" * 64
    with pytest.raises(WeightsError, match="checksum is not the announced"):
        weights.load("hf:some/repo", "celo2")
    assert not [path for path in cache.rglob("*") if path.name in ("c" * 64, "theta.state")]
    server.etag = announced
    weights.load("hf:some/repo", "celo2")


@pytest.mark.parametrize(("ref", "names"), [("hf:some/repo/absent.state", 1), ("hf:no/such", 2)])
def test_absent_file_is_not_asked_for_twice(server, ref, names):
    with pytest.raises(WeightsError, match="no such repository, revision or file"):
        weights.load(ref, "celo2")
    assert server.asked == ["HEAD"] * names


def test_a_mirror_in_safetensors_is_found_and_pinned_under_its_own_name(server, monkeypatch):
    server.files = "model.safetensors"
    used = weights.resolve("hf:some/repo", "celo2")[1]
    assert used.pinned == f"hf:some/repo/model.safetensors@{'a' * 40}"
    assert weights.resolve("hf:some/repo", "celo2", lock=used)[1] == used
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert weights.resolve("hf:some/repo", "celo2")[1] == used


def test_offline_without_a_copy_says_where_to_put_it(cache, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="could not be reached") as error:
        weights.load("hf:some/repo", "celo2")
    assert "\n" not in str(error.value)
    assert "$RL_EVAL_WEIGHTS/some/repo/theta.state" in str(error.value)
    assert not list(cache.rglob("*.incomplete"))


def test_offline_with_a_copy_uses_it(server, monkeypatch):
    weights.load("hf:some/repo", "celo2")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    chex.assert_trees_all_equal(weights.load("hf:some/repo", "celo2"), make_theta("celo2"))


def test_folder_of_the_user_comes_before_the_hub(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("RL_EVAL_WEIGHTS", str(tmp_path))
    path = tmp_path / "some" / "repo" / "theta.state"
    path.parent.mkdir(parents=True)
    weights.save(path, make_theta("celo2"))
    _, provenance = weights.resolve("hf:some/repo", "celo2")
    assert provenance.source == "hf:some/repo/theta.state"


@pytest.mark.parametrize(
    "etag", ["../../../../escaped", "/tmp/escaped", "a/b", "..", ".", "a\\b", "x" * 300]
)
def test_an_etag_that_is_a_path_is_refused_before_anything_is_written(server, cache, etag):
    server.etag = etag
    with pytest.raises(WeightsError, match="no name of a file"):
        weights.load("hf:some/repo", "celo2")
    assert server.asked == ["HEAD"]
    assert not cache.exists()


@pytest.mark.parametrize("commit", ["../../escaped", "main", "/tmp/escaped"])
def test_a_commit_that_is_a_path_is_refused_before_anything_is_written(server, cache, commit):
    server.commit = commit
    with pytest.raises(WeightsError, match="its commit"):
        weights.load("hf:some/repo", "celo2")
    assert not cache.exists()


def test_a_body_that_does_not_end_is_left_when_it_is_too_large(server, cache, monkeypatch):
    monkeypatch.setattr(hub, "MAX_BYTES", 1 << 20)
    server.faults = {"HEAD": ["endless"], "GET": ["endless"]}
    with pytest.raises(WeightsError, match="larger than any weights file"):
        weights.load("hf:some/repo", "celo2")
    assert not cache.exists()


def test_a_body_that_drips_is_left_when_its_time_is_over(server, monkeypatch):
    monkeypatch.setattr(hub, "WHOLE_SECONDS", 0.0)
    server.faults = {"HEAD": ["endless"], "GET": ["endless"]}
    with pytest.raises(WeightsError, match="did not come within"):
        weights.load("hf:some/repo", "celo2")


@pytest.mark.parametrize(
    "ref", ["hf:a/b//etc/passwd", "hf:a/b/./c", "hf:a/b/c//d", "hf:a/..", "hf:./b"]
)
def test_references_with_empty_parts_are_refused(ref):
    with pytest.raises(WeightsError, match=r"hf:owner/repo\[/file\]"):
        weights.load(ref, "celo2")


@pytest.mark.parametrize("ref", ["hf:", "hf:repo", "hf:a/b/../c", "hf:../c", "hf:a/b/", "hf:a b/c"])
def test_malformed_references_are_refused(ref):
    with pytest.raises(WeightsError, match=r"hf:owner/repo\[/file\]"):
        weights.load(ref, "celo2")
