"""From a process to the list of what it depends on, and from that list to what has changed."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from rl_eval.gate.dependencies.watch import OURS, Stamp, Watch, installed, stamp, trusted
from rl_eval.strict import STRICT

JUDGES = ("rl_eval.gate.", "sweeps.gate.", "rl_eval.report.")  # they make no numbers
ALWAYS = ("JAX_", "XLA_")  # variables that jax reads by itself
_COMPILED = (".so", ".pyd", ".dylib")


@dataclasses.dataclass(frozen=True)
class Dependencies:
    """What a process imported and read.

    parts: sha256 by name, such as "module mine.core", "file theta.json", "variable SCALE".
    places: paths on this machine of the parts that have one.
    versions: of every installed package that was imported.
    doubts: why this may not be all; a run with a doubt is never used again.
    """

    __pydantic_config__ = STRICT

    parts: dict[str, str]
    places: dict[str, str]
    versions: dict[str, str]
    doubts: tuple[str, ...]

    @property
    def digest(self) -> str:
        facts = [*sorted(self.parts.items()), *sorted(self.versions.items())]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def snapshot(watch: Watch, of_jax: bool = False) -> Dependencies:
    """Everything that this process depends on so far.

    Args:
        of_jax: also the variables that jax reads by itself; a worker is given its own.
    """
    found, places, doubts = {}, {}, list(watch.doubts)
    for name, file in _modules(watch.before):
        label = f"module {name}"
        places[label], found[label] = str(file), _sha256(str(file), stamp(file))
        if file.suffix in _COMPILED and not installed(file):
            doubts.append(f"{name} is compiled: what it reads cannot be seen")
    known = set(places.values())
    for path, then in sorted(watch.files.items()):
        if path in known or _standard(Path(path)):
            continue
        label = _label("file", path, places)
        places[label], found[label] = path, _sha256(path, stamp(path))
        if stamp(path) != then:
            doubts.append(f"{label} was changed while it was used")
    for path in sorted(watch.folders):
        label = _label("folder", path, places)
        places[label], found[label] = path, _listing(path)
    for name in sorted(watch.variables | (_of_jax() if of_jax else set())):
        found[f"variable {name}"] = _text(os.environ.get(name))
    return Dependencies(found, places, _versions(), tuple(dict.fromkeys(doubts)))


def changes(then: Dependencies) -> list[str]:
    """What is no longer as it was, by its name; every part is looked at where it was."""
    found = list(then.doubts)
    for label, recorded in then.parts.items():
        kind, _, name = label.partition(" ")
        place = then.places.get(label, "")
        if kind == "variable":
            now = _text(os.environ.get(name))
        elif kind == "folder":
            now = _listing(place)
        else:
            now = _sha256(place, stamp(place))
        if now != recorded:
            found.append(label)
    for name, version in then.versions.items():
        if _version(name) != version:
            found.append(f"package {name}")
    return found


def differences(
    then: Mapping[str, str], now: Mapping[str, str], without: Iterable[str] = ()
) -> list[str]:
    """Names of the parts that two lists do not share."""
    skipped = tuple(without)
    return [
        label
        for label in dict.fromkeys([*now, *then])
        if then.get(label) != now.get(label) and not label.startswith(skipped)
    ]


def _modules(before: frozenset[str]) -> list[tuple[str, Path]]:
    """Imported modules whose content counts, and their files, in order of their names.

    Of an installed package that was loaded `before` the optimizer was, the version counts.
    """
    found = []
    for name, module in sorted(sys.modules.items()):
        file, top = _file(module), name.partition(".")[0]
        if name == "__mp_main__" or file is None or _standard(file):
            continue
        if f"{name}.".startswith(JUDGES):
            continue
        if top in OURS or not (installed(file) and (name in before or top in trusted())):
            spec = getattr(module, "__spec__", None)
            found.append((spec.name if name == "__main__" and spec else name, file))
    return found


def _of_jax() -> set[str]:
    """Variables that jax reads by itself; where it keeps compiled programs does not count."""
    return {name for name in os.environ if name.startswith(ALWAYS) and "CACHE" not in name}


def _file(module: ModuleType) -> Path | None:
    spec = getattr(module, "__spec__", None)
    named = getattr(module, "__file__", None) or (spec.origin if spec and spec.has_location else "")
    if not named:
        return None
    path = Path(named)
    inside = [parent for parent in (path, *path.parents) if parent.is_file()]
    return inside[0] if inside else path  # of a zip file, the file itself


@functools.lru_cache(maxsize=100_000)
def _standard(file: Path) -> bool:
    """Whether a file came with Python."""
    paths = sysconfig.get_paths()
    folders = {Path(paths[key]).resolve() for key in ("stdlib", "platstdlib")}
    resolved = file.resolve()
    return not installed(resolved) and any(resolved.is_relative_to(f) for f in folders)


def _label(kind: str, path: str, taken: Mapping[str, str]) -> str:
    """A name that does not tell where on this machine a file is: from where modules are found."""
    roots = [Path(root or os.getcwd()) for root in (*sys.path, os.getcwd())]
    inside = [Path(path).relative_to(r) for r in roots if Path(path).is_relative_to(r)]
    short = min(inside, key=lambda p: len(p.parts)) if inside else Path(Path(path).name)
    label = f"{kind} {short.as_posix()}"
    while label in taken:
        label += "'"
    return label


@functools.lru_cache(maxsize=100_000)
def _sha256(path: str, as_it_is: Stamp | None) -> str:
    """Of a file's content; "missing" where there is none. Kept as long as it is unchanged."""
    if as_it_is is None:
        return "missing"
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _listing(path: str) -> str:
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return "missing"
    return _text("\n".join(names))


def _text(text: str | None) -> str:
    return "missing" if text is None else hashlib.sha256(text.encode()).hexdigest()


def _versions() -> dict[str, str]:
    """Of every distribution that a module was imported from."""
    tops = {name.partition(".")[0] for name in list(sys.modules)}
    names = sorted({name for top in tops for name in _by_module().get(top, ())})
    return {name: version for name in names if (version := _version(name)) is not None}


@functools.cache
def _by_module() -> Mapping[str, Sequence[str]]:
    return importlib.metadata.packages_distributions()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
