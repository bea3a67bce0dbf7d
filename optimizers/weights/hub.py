"""Weights from the Hugging Face hub, through `huggingface_hub` and its cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any

from optimizers.weights.files import MAX_BYTES, read_bytes, sha256_of, write_whole
from optimizers.weights.templates import WeightsError

DEFAULT_FILE = "theta.state"  # what the references call it
MIRROR_FILE = "model.safetensors"  # what pylo's mirrors call it, tried where the other is not
ATTEMPTS = 5
RETRY_SECONDS = 0.5  # doubles with each attempt
SILENT_SECONDS = 30.0  # without a byte from the server
WHOLE_SECONDS = 600.0  # for a file, however slowly it drips


class AbsentError(WeightsError):
    """The hub has no such repository, revision or file."""


def parse(ref: str) -> tuple[str, str | None, str | None]:
    """(owner/repo, file, revision) of `hf:owner/repo[/file][@revision]`, None if left out."""
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:/([\w./-]+))?(?:@([\w.-]+))?", ref)
    if match is None or not {"", ".", ".."}.isdisjoint(ref.removeprefix("hf:").split("/")):
        raise WeightsError(f"{ref!r} is not of the form hf:owner/repo[/file][@revision]")
    return match[1], match[2], match[3]


def is_cached(repo: str, file: str, revision: str | None = None) -> bool:
    """Whether the hub's own cache has a copy; False without `huggingface_hub`."""
    try:
        import huggingface_hub as hub
    except ImportError:
        return False
    return isinstance(hub.try_to_load_from_cache(repo, file, revision=revision), str)


def fetch(repo: str, file: str, revision: str | None = None) -> tuple[bytes, str]:
    """The file's content and the commit it came from; the hub's own cache is used and filled.

    Without a network the newest cached copy serves, or the one of `revision`. Server errors and
    broken connections are retried; a body that does not hash to what the hub announced never gets
    into the cache.

    Raises:
        WeightsError: with the reason in one line.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import OfflineModeIsEnabled
    except ImportError:
        raise WeightsError("the hub needs an extra: pip install 'rl-eval[hub]'") from None
    cached = hub.try_to_load_from_cache(repo, file, revision=revision)
    if revision and isinstance(cached, str):
        return read_bytes(cached), _commit_of(cached, file)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _download(hub, repo, file, revision or "main")
        except WeightsError:
            raise
        except Exception as error:  # what the HTTP client raises differs between its versions
            status = getattr(getattr(error, "response", None), "status_code", None)
            refused = status is not None and status < 500 and status != 429
            if attempt < ATTEMPTS and not refused and not isinstance(error, OfflineModeIsEnabled):
                time.sleep(RETRY_SECONDS * 2 ** (attempt - 1))
                continue
            if isinstance(cached, str) and not refused:
                return read_bytes(cached), _commit_of(cached, file)
            kind = AbsentError if status == 404 else WeightsError
            raise kind(_reason(error, status)) from error
    raise AssertionError("the last attempt returns or raises")


def _download(hub: Any, repo: str, file: str, revision: str) -> tuple[bytes, str]:
    # Read at each call, because huggingface_hub looks at HF_ENDPOINT only when it is imported.
    endpoint = os.environ.get("HF_ENDPOINT") or None
    url = hub.hf_hub_url(repo, file, revision=revision, endpoint=endpoint)
    announced = hub.get_hf_file_metadata(url, timeout=SILENT_SECONDS)
    if (announced.size or 0) > MAX_BYTES:
        raise WeightsError(_TOO_LARGE)
    etag, commit = announced.etag or "", announced.commit_hash or ""
    # They become names in the cache, and a mirror may send what it likes.
    if not re.fullmatch(r"[\w+=-][\w.+=-]{0,200}|", etag, re.ASCII):
        raise WeightsError(f"its ETag {etag!r:.60} is no name of a file")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise WeightsError(f"its commit {commit!r:.60} is none")
    there = _snapshot(hub, repo, commit, file)
    if etag and there.is_file() and _matches_etag(data := read_bytes(there), etag):
        return data, commit
    data = _body(hub, url)
    if announced.size is not None and len(data) != announced.size:
        raise ConnectionError(f"{len(data):,} of {announced.size:,} bytes came")
    if not _matches_etag(data, etag):
        raise WeightsError(f"its checksum is not the announced {etag}")
    _keep(hub, repo, file, revision, commit, data)
    return data, commit


def _body(hub: Any, url: str) -> bytes:
    """What the server sends, as far as it is no larger than weights are and comes in time."""
    deadline, received = time.monotonic() + WHOLE_SECONDS, bytearray()
    headers = {**hub.utils.build_hf_headers(), "Accept-Encoding": "identity"}
    answer = hub.utils.get_session().stream(
        "GET", url, headers=headers, timeout=SILENT_SECONDS, follow_redirects=True
    )
    with answer as response:
        response.raise_for_status()
        for piece in response.iter_raw():
            received += piece
            if len(received) > MAX_BYTES:
                raise WeightsError(_TOO_LARGE)
            if time.monotonic() > deadline:
                raise WeightsError(f"it did not come within {WHOLE_SECONDS:.0f} seconds")
    return bytes(received)


def _keep(hub: Any, repo: str, file: str, revision: str, commit: str, data: bytes) -> None:
    """Put a file into the hub's own cache, which other programs use too; a full disk is no error.

    The library would name it by the ETag; it is named by what it hashes to.
    """
    contents = {_snapshot(hub, repo, commit, file): data}
    if revision != commit:
        contents[_snapshot(hub, repo, commit, "").parents[1] / "refs" / revision] = commit.encode()
    with contextlib.suppress(OSError):
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)


def _snapshot(hub: Any, repo: str, commit: str, file: str) -> Path:
    """Where the hub's cache keeps a file."""
    folder = hub.file_download.repo_folder_name(repo_id=repo, repo_type="model")
    return Path(hub.constants.HF_HUB_CACHE, folder, "snapshots", commit, file)


def _matches_etag(data: bytes, etag: str | None) -> bool:
    """The hub's etag is the sha256 of a large file and git's blob hash of a small one."""
    if etag and re.fullmatch(r"[0-9a-f]{64}", etag):
        return sha256_of(data) == etag
    if etag and re.fullmatch(r"[0-9a-f]{40}", etag):
        blob = b"blob %d\0" % len(data) + data
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == etag
    return True  # a mirror with etags of its own


_TOO_LARGE = f"it is larger than any weights file ({MAX_BYTES >> 20} MiB)"


def _commit_of(path: str, file: str) -> str:
    """The cache keeps a file under snapshots/<commit>/<file>."""
    return Path(path).parents[file.count("/")].name


def _reason(error: Exception, status: int | None) -> str:
    if status == 404:
        return "the hub has no such repository, revision or file"
    if status is not None:
        return f"the hub answered {status}"
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"the hub could not be reached or the download broke ({first_line})"
