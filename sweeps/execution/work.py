"""What a sweep has to run, and what is heard of it while it runs.

An executor takes the items and yields what becomes of them, until each has ended once. It decides
where they run; what running one means is given to it as a task, and results are the records that
the task leaves. So a further executor (another machine, a cluster) is one more function.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rl_eval.config import RunConfig

Ending = Literal["completed", "diverged", "pruned", "failed"]


@dataclasses.dataclass(frozen=True)
class Item:
    """One seed of a trial. Those of one `signature` share their compiled programs."""

    trial: str
    config: RunConfig
    directory: Path
    signature: str

    @property
    def name(self) -> str:
        return f"{self.trial} seed {self.config.seeds[0]}"


@dataclasses.dataclass(frozen=True)
class Moving:
    """A worker has begun an item or got on with it. `share` is what is done of it."""

    item: Item
    worker: int
    share: float = 0.0
    score: float | None = None


@dataclasses.dataclass(frozen=True)
class Retried:
    """A worker died of an item, which is run once more."""

    item: Item
    worker: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Ended:
    """The last word on an item."""

    item: Item
    worker: int
    status: Ending
    reason: str | None = None
    score: float | None = None


Event = Moving | Retried | Ended
Executor = Callable[[Sequence[Item]], Generator[Event, None, None]]
Tell = Callable[[float, float | None], None]
"""Told the share of an item that is done, and its score so far."""
Outcome = tuple[Ending, str | None, float | None]
"""How a run ended, why, and its score."""
Order = tuple[Mapping[str, Any], Path]
"""A configuration, as plain data, and the directory to run it in."""
Run = Callable[[Mapping[str, Any], Path, Tell], Outcome]
"""Runs one order. What a task makes, in the worker."""
RunTogether = Callable[[Sequence[Order], Tell], list[Outcome]]
"""Runs orders of one signature at once. What a task makes whose workers are given several."""


class Backlog:
    """Items not yet begun, handed out so that a worker can use its compiled programs again."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._groups: dict[str, deque[Item]] = {}
        self._again: set[str] = set()
        for item in items:
            self._groups.setdefault(item.signature, deque()).append(item)

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def take(self, signature: str | None, most: int = 1) -> list[Item]:
        """The next items of that signature, or else of the one with most items left.

        One that was put back comes alone: it may be what its worker died of.
        """
        if not self._groups:
            return []
        if signature not in self._groups:
            signature = max(self._groups, key=lambda key: len(self._groups[key]))
        group = self._groups[signature]
        items = [group.popleft()]
        while group and len(items) < most and not {items[0].name, group[0].name} & self._again:
            items.append(group.popleft())
        if not group:
            del self._groups[signature]
        return items

    def put_back(self, item: Item) -> None:
        """To the end of its group."""
        self._again.add(item.name)
        self._groups.setdefault(item.signature, deque()).append(item)
