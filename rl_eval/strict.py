"""How configuration dataclasses are read: no unknown keys, no silent conversions, no NaN."""

from __future__ import annotations

from typing import Any

# A dataclass opts in by `__pydantic_config__ = STRICT`.
STRICT: Any = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
