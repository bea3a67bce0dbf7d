"""Notes what the code of an optimizer reads and starts in this process.

Python tells of files that are opened, folders that are listed, programs that are started and
connections that are made (`sys.addaudithook`). It does not tell of what compiled code reads by
itself, of the clock, nor of whether a file exists.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

OURS = frozenset({"rl_eval", "optimizers", "sweeps"})
WEIGHTS = "optimizers.weights"  # whose files are part of the optimizer
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
_TALKS = ("socket.connect", "socket.getaddrinfo", "urllib.Request", "http.client.connect")
_LISTS = ("os.listdir", "os.scandir", "glob.glob")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NOT_FILES = ("/proc/", "/sys/", "/dev/")

Stamp = tuple[int, int]  # of a file: when it was changed, in ns, and its bytes


class Watch:
    """What was noted so far.

    files: by path, as they were when they were opened first; None where there was none.
    folders: that were listed.
    variables: of the environment, that were asked for.
    doubts: why what was read cannot be known in full.
    before: modules that were there when `settle` was called.
    """

    def __init__(self) -> None:
        self.files: dict[str, Stamp | None] = {}
        self.folders: set[str] = set()
        self.variables: set[str] = set()
        self.doubts: dict[str, None] = {}
        self.before: frozenset[str] = frozenset()
        self._written: set[str] = set()
        self._busy = False
        self._compiled = os.environ.get("JAX_COMPILATION_CACHE_DIR", "")

    def settle(self) -> None:
        """Forget what was read so far: from here on it is the optimizer that reads."""
        self.before = frozenset(sys.modules)
        for noted in (self.files, self.folders, self.variables, self.doubts):
            noted.clear()

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit hook: must be quick, and must never raise."""
        if self._busy or not (event == "open" or event.startswith(_HEARD)):
            return
        self._busy = True
        try:
            self._note(event, args)
        except Exception as error:
            self.doubts[f"{event} could not be noted: {type(error).__name__}"] = None
        finally:
            self._busy = False

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            self._opened(*args)
        elif event == "os.rename":
            self._written.add(_path(args[1]))
        elif event == "ctypes.dlopen":
            if args[0] and os.path.exists(_path(args[0])) and _foreign():
                self._add(_path(args[0]))
        elif event.startswith(_LISTS):
            if _foreign() and not _importing():
                self.folders.add(_path(args[0] if args and args[0] else "."))
        elif (who := _foreign()) and not _within(WEIGHTS):
            what = "starts a program" if event.startswith(_STARTS) else "uses the network"
            self.doubts[f"{who} {what}"] = None

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        place = _path(path)
        writes = isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY
        if writes:
            self._written.add(place)
        elif place not in self._written and place not in self.files and _foreign(WEIGHTS):
            self._add(place)

    def _add(self, place: str) -> None:
        if place.startswith(_NOT_FILES) or os.path.isdir(place) or _by_version(place):
            return
        if self._compiled and place.startswith(self._compiled):
            return
        if place in sys.path:  # a zip file that modules may be in, and mostly is not there
            return
        if place.endswith(".pyc"):
            try:
                source = importlib.util.source_from_cache(place)
            except ValueError:
                source = place
            place = source if os.path.exists(source) else place
        self.files.setdefault(place, stamp(place))


_HEARD = ("os.rename", "ctypes.dlopen", *_LISTS, *_STARTS, *_TALKS)


@functools.cache
def watch() -> Watch:
    """The one watch of this process, which begins with the first call and cannot end."""
    trusted()
    found = Watch()
    sys.addaudithook(found.hear)
    _watch_variables(found)
    return found


@functools.cache
def trusted() -> frozenset[str]:
    """Modules of this suite and of all that it is installed with: their versions say what they do.

    Requirements are followed through all extras, whether or not they were asked for.
    """
    todo, seen = ["rl-eval"], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        todo += [_normal(match[0]) for need in needs if (match := _NAME.match(need))]
    by_module = importlib.metadata.packages_distributions()
    known = {top for top, names in by_module.items() if {_normal(n) for n in names} <= seen}
    return frozenset(known | OURS | {"__mp_main__"})


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(path: str | Path) -> bool:
    """Whether a file is part of an installed package."""
    return bool({"site-packages", "dist-packages"} & set(Path(path).parts))


def stamp(path: str | Path) -> Stamp | None:
    """When a file was changed and how long it is; None if there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _by_version(place: str) -> bool:
    """Whether the version of a package says what is in a file."""
    parts = Path(place).parts
    if not installed(place):
        return False
    top = parts[max(i for i, part in enumerate(parts) if part.endswith("-packages")) + 1]
    name = top.partition(".")[0]
    return top.endswith((".dist-info", ".egg-info")) or (name in trusted() and name not in OURS)


def _watch_variables(found: Watch) -> None:
    kind: Any = type(os.environ)
    ask = kind.__getitem__

    def noted(self: Any, key: Any) -> Any:
        if self is os.environ and isinstance(key, str) and _foreign():
            found.variables.add(key)
        return ask(self, key)

    kind.__getitem__ = noted


def _foreign(*also: str) -> str | None:
    """The innermost module on the stack that is neither Python's nor trusted, or one of `also`.

    None as soon as the stack leads back to trusted code that was called by trusted code alone.
    """
    for module in _modules():
        top = module.partition(".")[0]
        if module.startswith(also) if also else False:
            return module
        if top not in trusted() and top not in sys.stdlib_module_names:
            return module
    return None


def _importing() -> bool:
    frame: FrameType | None = sys._getframe(3)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            return True
        if not name.startswith(_LIBRARY) and __file__ != name:
            return False
        frame = frame.f_back
    return False


def _within(package: str) -> bool:
    return any(module.startswith(package) for module in _modules())


def _modules() -> Iterator[str]:
    """Names of the modules on the stack, the innermost first."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name == "__main__":
            spec = frame.f_globals.get("__spec__")
            name = spec.name if spec else "__main__"
        if name and frame.f_globals is not globals():
            yield name
        frame = frame.f_back


def _path(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))


_LIBRARY = os.path.dirname(os.__file__)
