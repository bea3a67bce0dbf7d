"""Weights from the Hugging Face hub, through `huggingface_hub` and its cache."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any

from optimizers.weights.files import MAX_BYTES, read_bytes, sha256_of
from optimizers.weights.templates import WeightsError

DEFAULT_FILE = "theta.state"  # what the references call it
ATTEMPTS = 3
RETRY_SECONDS = 1.0  # doubles with each attempt


def parse(ref: str) -> tuple[str, str, str | None]:
    """(owner/repo, file, revision) of `hf:owner/repo[/file][@revision]`."""
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:/([\w./-]+))?(?:@([\w.-]+))?", ref)
    file = (match and match[2]) or DEFAULT_FILE
    if match is None or ".." in ref.removeprefix("hf:").split("/"):
        raise WeightsError(f"{ref!r} is not of the form hf:owner/repo[/file][@revision]")
    return match[1], file, match[3]


def fetch(repo: str, file: str, revision: str | None = None) -> tuple[bytes, str]:
    """The file's content and the commit it came from; the hub's own cache is used and filled.

    Without a network the newest cached copy serves, or the one of `revision`. Server errors and
    broken connections are retried; a body that does not hash to what the hub announced is removed
    from the cache.

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
            raise WeightsError(_reason(error, status)) from error
    raise AssertionError("the last attempt returns or raises")


def _download(hub: Any, repo: str, file: str, revision: str) -> tuple[bytes, str]:
    # Read at each call, because huggingface_hub looks at HF_ENDPOINT only when it is imported.
    endpoint = os.environ.get("HF_ENDPOINT") or None
    url = hub.hf_hub_url(repo, file, revision=revision, endpoint=endpoint)
    announced = hub.get_hf_file_metadata(url)
    if (announced.size or 0) > MAX_BYTES:
        raise WeightsError(f"it is larger than any weights file ({MAX_BYTES >> 20} MiB)")
    path = hub.hf_hub_download(repo, file, revision=revision, endpoint=endpoint)
    data = read_bytes(path)
    if not _matches_etag(data, announced.etag):
        Path(path).resolve().unlink(missing_ok=True)
        Path(path).unlink(missing_ok=True)
        raise WeightsError(f"its checksum is not the announced {announced.etag}")
    return data, _commit_of(path, file)


def _matches_etag(data: bytes, etag: str | None) -> bool:
    """The hub's etag is the sha256 of a large file and git's blob hash of a small one."""
    if etag and re.fullmatch(r"[0-9a-f]{64}", etag):
        return sha256_of(data) == etag
    if etag and re.fullmatch(r"[0-9a-f]{40}", etag):
        blob = b"blob %d\0" % len(data) + data
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == etag
    return True  # a mirror with etags of its own


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
