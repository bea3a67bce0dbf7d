"""From the name, path or hub reference of weights to the weights and where they came from."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from optimizers.weights import files, hub
from optimizers.weights.templates import Theta, WeightsError, check, template_of

FOLDER_VARIABLE = "RL_EVAL_WEIGHTS"
_SHIPPED = Path(__file__).parent
_SUFFIXES = (".msgpack", ".theta.state", ".npz", ".safetensors")

_PUBLISHED = {
    "celo2": "hf:amoudgl/celo2",
    "celo2-base": "hf:amoudgl/celo2-base",
    "velo": "hf:amoudgl/velo-4000",
    "velo-s": "hf:amoudgl/velo-s",
    "celo": "hf:amoudgl/celo",
    "celo-adam": "hf:amoudgl/celo-adam",
    "mlp-lopt": "hf:amoudgl/adafac-mlp-lopt",
}
_STAND_INS = {"velo": ("velo-s", "the same rule with a 64-unit LSTM")}


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where weights came from, so that a run's config can lock them.

    Attributes:
        source: `shipped:<name>`, `hf:owner/repo/file` or a path.
        revision: the hub's commit; None elsewhere.
        sha256: of the file.
    """

    source: str
    revision: str | None
    sha256: str

    @property
    def pinned(self) -> str:
        """A reference that means this content for good, as far as its source can promise it."""
        return f"{self.source}@{self.revision}" if self.revision else self.source


@functools.cache
def manifest() -> dict[str, dict[str, Any]]:
    """The shipped weights: name -> file, optimizer, sha256, bytes, licence and how it was made."""
    return json.loads((_SHIPPED / "manifest.json").read_text())["weights"]


def resolve(
    ref: str | os.PathLike[str] | None, optimizer: str, *, lock: Provenance | None = None
) -> tuple[Theta, Provenance]:
    """Weights that are checked to be of the optimizer's form, and their provenance.

    Args:
        ref: a shipped name, a path, `hf:owner/repo[/file][@revision]`, or None for the shipped
            weights of `optimizer`. Names that do not ship are looked up in the folder
            RL_EVAL_WEIGHTS.
        optimizer: a registered name, e.g. `velo`.
        lock: what an earlier run had: the revision to fetch and the sha256 to insist on.

    Raises:
        WeightsError: what was wanted and where to put it, or what is wrong with the file.
    """
    template_of(optimizer)
    data, source, revision = _find(ref, optimizer, lock)
    sha256 = files.sha256_of(data)
    if lock is not None and sha256 != lock.sha256:
        raise WeightsError(f"{source} has sha256 {sha256}, but this run is locked to {lock.sha256}")
    return files.decode(data, optimizer, source), Provenance(source, revision, sha256)


def load(ref: str | os.PathLike[str] | None, optimizer: str) -> Theta:
    """`resolve` without the provenance."""
    return resolve(ref, optimizer)[0]


def or_default(theta: Any | None, optimizer: str) -> Theta:
    """An update rule's `theta` argument, checked, as jax arrays; None: the shipped weights."""
    theta = load(None, optimizer) if theta is None else check(theta, optimizer)
    return jax.tree.map(jnp.asarray, theta)


def _find(
    ref: str | os.PathLike[str] | None, optimizer: str, lock: Provenance | None
) -> tuple[bytes, str, str | None]:
    """(content, source, revision)."""
    name = optimizer if ref is None else os.fspath(ref)
    if name.startswith("hf:"):
        return _from_hub(name, lock)
    if name in manifest():
        return _shipped(name), f"shipped:{name}", None
    for path in _in_folder(name):
        return files.read_bytes(path), str(path), None
    if ref is not None and Path(name).is_file():
        return files.read_bytes(name), name, None
    raise WeightsError(_how_to_get(optimizer) if ref is None else _not_found(name, optimizer))


def _shipped(name: str) -> bytes:
    entry = manifest()[name]
    data = files.read_bytes(_SHIPPED / entry["file"])
    if files.sha256_of(data) != entry["sha256"]:
        raise WeightsError(f"the shipped weights '{name}' are damaged (sha256): reinstall rl-eval")
    return data


def _from_hub(ref: str, lock: Provenance | None) -> tuple[bytes, str, str | None]:
    repo, file, revision = hub.parse(ref)
    if lock is not None:
        revision = lock.revision
        if file is None and lock.source.startswith(f"hf:{repo}/"):
            file = lock.source.removeprefix(f"hf:{repo}/")
    if file is not None:
        return _hub_file(repo, file, revision)
    try:
        return _hub_file(repo, hub.DEFAULT_FILE, revision)
    except WeightsError as error:
        absent = isinstance(error.__cause__, hub.AbsentError)
        if not absent and not hub.is_cached(repo, hub.MIRROR_FILE, revision):
            raise
        try:
            return _hub_file(repo, hub.MIRROR_FILE, revision)
        except WeightsError as other:
            raise (error if isinstance(other.__cause__, hub.AbsentError) else other) from None


def _hub_file(repo: str, file: str, revision: str | None) -> tuple[bytes, str, str | None]:
    source = f"hf:{repo}/{file}"
    if folder := os.environ.get(FOLDER_VARIABLE):
        path = Path(folder, repo, file)
        if path.is_file():
            return files.read_bytes(path), source, None
    try:
        data, revision = hub.fetch(repo, file, revision)
    except WeightsError as error:
        raise WeightsError(
            f"{source}: {error}. To use it without the hub put the file at "
            f"${FOLDER_VARIABLE}/{repo}/{file} or give its path: --set weights=PATH"
        ) from error
    return data, source, revision


def _in_folder(name: str) -> list[Path]:
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or os.sep in name:
        return []
    candidates = (Path(folder, name + suffix) for suffix in _SUFFIXES)
    return [path for path in candidates if path.is_file()]


def _how_to_get(optimizer: str) -> str:
    published = f"--set weights={_PUBLISHED[optimizer]}, " if optimizer in _PUBLISHED else ""
    text = (
        f"no weights of {optimizer} ship with this project. Give {published}--set weights=PATH, "
        f"theta=optimizers.weights.load(PATH, '{optimizer}') in Python, or put "
        f"{optimizer}.msgpack into the folder that {FOLDER_VARIABLE} names"
    )
    stand_in, what = _STAND_INS.get(optimizer, (None, ""))
    return text + (f". {stand_in} ({what}) ships" if stand_in in manifest() else "")


def _not_found(name: str, optimizer: str) -> str:
    shipped = ", ".join(manifest()) or "none yet"
    return (
        f"no weights '{name}' for {optimizer}: not a shipped name ({shipped}), no such file, "
        f"not in ${FOLDER_VARIABLE}, and hub references look like hf:owner/repo[/file]"
    )
