"""YAML as configurations need it: 1e6 is a number, keys come once, nothing grows without end."""

from __future__ import annotations

import re
from typing import Any

import yaml

from rl_eval.files import MAX_DEPTH

MAX_NODES = 100_000  # counted where aliases lead to as often as they do
_FLOAT = "tag:yaml.org,2002:float"


class _Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, in which 1e6 and 3e-4 are texts; 1.2 has them as numbers."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth = getattr(self, "depth", 0) + 1
        try:
            if self.depth > MAX_DEPTH:
                raise yaml.YAMLError(f"more than {MAX_DEPTH} values inside each other")
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _count(node, {}, frozenset())
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        _refuse_twice(node)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: list(kinds) for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(?:\d[\d_]*)(?:\.[\d_]*)?[eE][-+]?\d+$|[-+]?\.\d[\d_]*[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse(text: str) -> Any:
    """The plain value in a YAML document.

    Raises:
        yaml.YAMLError, ValueError: not YAML, a key that comes twice, or more than MAX_NODES values.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader: plain values, no objects
    except RecursionError:
        raise ValueError("values are too deep inside each other") from None


def _refuse_twice(node: Any) -> None:
    seen = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if (key.tag, key.value) in seen:
                raise yaml.YAMLError(f"the key {key.value!r} comes twice")
            seen.add((key.tag, key.value))


def _count(node: Any, known: dict[int, int], above: frozenset[int]) -> int:
    """How many values a node stands for, an alias as many as what it is of.

    Raises:
        yaml.YAMLError: too many, or it contains itself.
    """
    if id(node) in known:
        return known[id(node)]
    if id(node) in above:
        raise yaml.YAMLError("a value contains itself")
    inner = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    else:
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
    total = 1 + sum(_count(part, known, inner) for part in parts)
    if total > MAX_NODES:
        raise yaml.YAMLError(f"aliases make more than {MAX_NODES:,} values of it")
    known[id(node)] = total
    return total
