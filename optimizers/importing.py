"""Modules that a user names: `package.module` or `path/to/file.py`, found in a folder first.

Where a user's module has the name of one that is taken (`optimizers/` in their repository, a file
`random.py`), both live side by side: theirs is loaded under a name of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

_MAX_TEXT = 400  # characters of an error's own message


class ImportFailedError(ValueError):
    """A module that cannot be imported; the message is one line that says why."""


class ModuleRaisedError(ImportFailedError):
    """A module that is there, and raises while it is imported."""


class Imported(NamedTuple):
    """A module, and the folder it was found in; None for one that is installed."""

    module: ModuleType
    folder: Path | None


def split(reference: str) -> tuple[str, str]:
    """The module (a name, or the path of a .py file) and the rest of `module:rest`."""
    module, _, rest = reference.rpartition(":")
    return module, rest


def load(name: str, folders: Sequence[Path] = ()) -> Imported:
    """Import a module by its dotted name or by the path of its file.

    Its folder stays importable, after everything installed, so that a function of the module may
    import a neighbour when it is called.

    Args:
        folders: where to look before the installed packages, and what relative paths start
            from; the first that has the module counts. By default the working directory, or
            where the same name was found before in this process.

    Raises:
        ImportFailedError: there is no such module, or it fails while it is imported.
    """
    here = Path.cwd()
    if not folders and (name, here) in _elsewhere:
        return _elsewhere[name, here]
    found = _load(name, tuple(folder.resolve() for folder in folders) or (here,))
    if found.folder not in (None, here):
        _elsewhere[name, here] = found
    return found


_elsewhere: dict[tuple[str, Path], Imported] = {}
"""What a name was found to mean that is not in the working directory, for those who ask again."""


def _load(name: str, folders: Sequence[Path]) -> Imported:
    if name.endswith(".py") or "/" in name:
        folder, file = _file(name, folders)
        root, name = _place(file, folder)
        return Imported(_imported(root, name, (folder, file.parent)), folder)
    if not all(name.split(".")):
        raise ImportFailedError(
            f"'{name}' is no module: expected a name such as package.module, or a file ./mine.py"
        )
    for folder in folders:
        if _found(folder, name):
            return Imported(_imported(folder, name), folder)
    with _explained(name, folders), _importable(folders):
        return Imported(importlib.import_module(name), None)


def describe(error: BaseException) -> str:
    """The error of someone else's code in one line, with the place in it."""
    frames = _frames(error)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    if len(text) > _MAX_TEXT:  # jax explains itself over many lines
        text = f"{text[:_MAX_TEXT]}..."
    return f"{type(error).__name__}: {text}{where}"


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The calls that lead to an error, without those that import."""
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in (__file__, importlib.__file__) and "<frozen" not in frame.filename
    ]


def _file(path: str, folders: Sequence[Path]) -> tuple[Path, Path]:
    """The folder that a path starts from, and the file."""
    for folder in folders:
        file = (folder / Path(path).expanduser()).resolve()
        if file.suffix == ".py" and file.is_file():
            return folder, file
    if Path(path).suffix != ".py":
        raise ImportFailedError(f"'{path}' is no module: expected a file that ends in .py")
    raise ImportFailedError(f"there is no file '{path}' in {_listed(folders)}")


def _place(file: Path, folder: Path) -> tuple[Path, str]:
    """From where a file is imported, and its dotted name there."""
    root, parts = file.parent, [] if file.stem == "__init__" else [file.stem]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    if root == file.parent and file.is_relative_to(folder):
        between = file.parent.relative_to(folder).parts
        if all(part.isidentifier() for part in between):
            root, parts = folder, [*between, file.stem]
    if any("." in part for part in parts):
        raise ImportFailedError(f"'{file}' is no module: its name has a dot in it; rename it")
    return root, ".".join(parts)


def _found(folder: Path, name: str) -> bool:
    place = folder.joinpath(*name.split("."))
    return place.with_name(f"{place.name}.py").is_file() or (place / "__init__.py").is_file()


def _imported(root: Path, name: str, others: Sequence[Path] = ()) -> ModuleType:
    """The module `name` of a folder, which has it."""
    top, dot, rest = name.partition(".")
    taken = _taken(root, top)
    with _explained(name, (root,)), _importable((root, *others)):
        return importlib.import_module((_renamed(root, top) if taken else top) + dot + rest)


def _taken(root: Path, top: str) -> bool:
    """Whether that name leads to another module than the folder's."""
    if loaded := sys.modules.get(top):
        file, folders = getattr(loaded, "__file__", None), getattr(loaded, "__path__", ())
    elif spec := importlib.util.find_spec(top):
        file, folders = spec.origin, spec.submodule_search_locations or ()
    else:
        return False
    places = [file] if file else folders  # several, where a package has no __init__.py
    mine = {root / top, root / f"{top}.py", root / top / "__init__.py"}
    return not mine & {Path(place).resolve() for place in places}


def _renamed(root: Path, top: str) -> str:
    """Load a folder's `top` under a name that nobody else has; the name.

    What it imports by the taken name it finds as well, unless that exists on the other side.
    """
    alias = f"_{top}_{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"
    if alias in sys.modules:
        return alias
    folder = root / top
    shared = getattr(sys.modules.get(top), "__path__", None)
    if folder.is_dir() and isinstance(shared, list) and str(folder) not in shared:
        shared.append(str(folder))
    files = [file for file in (folder / "__init__.py", root / f"{top}.py") if file.is_file()]
    if not files:
        sys.modules[alias] = ModuleType(alias)
        sys.modules[alias].__path__ = [str(folder)]
        return alias
    spec = importlib.util.spec_from_file_location(alias, files[0])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[alias] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alias]
        raise
    return alias


@contextmanager
def _importable(folders: Sequence[Path]) -> Iterator[None]:
    """Look into the folders first while this lasts, and last from then on."""
    importlib.invalidate_caches()
    new = [str(folder) for folder in dict.fromkeys(folders) if str(folder) not in sys.path]
    sys.path[:0] = new
    try:
        yield
    finally:
        for folder in new:
            if folder in sys.path:
                sys.path.remove(folder)
        sys.path += new


@contextmanager
def _explained(name: str, folders: Sequence[Path]) -> Iterator[None]:
    """Turn whatever a module raises into one line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}.") and not _frames(error):
            reason = f"there is no module '{missing}' in {_listed(folders)}, nor is one installed"
            raise ImportFailedError(reason) from error
        reason = f"importing '{name}' failed: {describe(error)}{_clash(error, folders)}"
        raise ModuleRaisedError(reason) from error


def _clash(error: BaseException, folders: Sequence[Path]) -> str:
    """A hint where an import went to another package of the same name."""
    if not isinstance(error, ImportError) or not error.name:
        return ""
    top = error.name.partition(".")[0]
    for folder in folders:
        there = (folder / top).exists() or (folder / f"{top}.py").exists()
        if there and _taken(folder, top):
            other = getattr(sys.modules.get(top), "__file__", None) or "a module of Python itself"
            return (
                f"; that is {other}, not {folder / top}: rename yours, or import from it relatively"
            )
    return ""


def _listed(folders: Sequence[Path]) -> str:
    return " or ".join(map(str, folders))
