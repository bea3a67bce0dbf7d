"""Reading configuration from files, `key=value` strings and mappings, strictly."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from rl_eval import files, yaml_values

T = TypeVar("T")

_PARSERS: dict[str, Callable[[str], Any]] = {
    ".toml": tomllib.loads,
    ".json": files.parse_json,
    ".yaml": yaml_values.parse,
    ".yml": yaml_values.parse,
}
MAX_BYTES = 1_000_000  # no configuration is larger; a wrong file often is


class SettingsError(ValueError):
    """A configuration that cannot be used; the message is one line for the person who wrote it."""


def read(kind: type[T], values: Mapping[str, Any], source: str) -> T:
    """Build the dataclass `kind` from plain values.

    Raises:
        SettingsError: an unknown or missing key, a wrong type, a value out of range.
    """
    try:
        text = json.dumps(_whole_floats_to_int(values))
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(f"{source}: {error}") from None
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise SettingsError(f"{source}: {_one_line(kind, error)}") from None


def read_file(path: Path) -> dict[str, Any]:
    """Plain values of a .toml, .yaml, .yml or .json file.

    Raises:
        SettingsError: the file is missing, unreadable, of another type, or not a mapping.
    """
    parse = _PARSERS.get(path.suffix)
    if parse is None:
        raise SettingsError(f"{path}: expected a .toml, .yaml or .json file")
    try:
        values = parse(files.read_text(path, MAX_BYTES).replace("\r\n", "\n"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: not valid {path.suffix[1:]}: {reason}") from None
    if not isinstance(values, dict) or not all(isinstance(k, str) for k in values):
        raise SettingsError(f"{path}: expected a mapping of names to values")
    return values


def parse_assignment(text: str, flag: str = "--set") -> tuple[str, Any]:
    """`key=value` as (key, value); the value is read as YAML, and 1e6 is a number.

    Raises:
        SettingsError: there is no key or no `=`.
    """
    key, equals, raw = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise SettingsError(f"{flag} {text}: expected key=value, such as learning_rate=3e-4")
    try:
        return key, float(raw) if _is_number(raw) else yaml_values.parse(raw)
    except (yaml.YAMLError, ValueError):
        return key, raw


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, section by section."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if nested else value  # type: ignore[arg-type]
    return merged


def near(name: str, known: Iterable[str]) -> str:
    """A hint that lists the names closest to a mistyped one, or all of them."""
    names = sorted(set(known))
    return closest(name, names) or f"known: {', '.join(names)}"


def closest(name: str, known: Iterable[str]) -> str:
    """A hint that lists the names closest to a mistyped one; empty where none is close."""
    close = difflib.get_close_matches(name, sorted(set(known)), n=5, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else ""


def _is_number(raw: str) -> bool:
    try:
        float(raw)
    except ValueError:
        return False
    return raw.strip().lower().lstrip("+-") not in ("nan", "inf", "infinity")


def _whole_floats_to_int(value: Any) -> Any:
    """1e6 typed for a count is an integer; a float field takes integers as well."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole_floats_to_int(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole_floats_to_int(item) for item in value]
    return value


def _one_line(kind: Any, error: ValidationError) -> str:
    """The first problem, with the key, what was given and what is allowed."""
    problem = error.errors(include_url=False)[0]
    where = [str(part) for part in problem["loc"]]
    key = ".".join(where) or "configuration"
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [f.name for f in dataclasses.fields(_owner(kind, where[:-1]))]
        return f"unknown key {key}; {near(where[-1], known)}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if where else message
    return f"{key}: {message[0].lower() + message[1:]}, got {problem['input']!r}"


def _owner(kind: Any, where: list[str]) -> Any:
    """The dataclass in which a key path ends."""
    for name in where:
        hint = typing.get_type_hints(kind).get(name)
        kind = next(
            (p for p in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(p)), kind
        )
    return kind
