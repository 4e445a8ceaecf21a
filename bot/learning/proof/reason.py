"""One thing that a proof has found, as a sentence for a person and as figures."""

from dataclasses import dataclass, field
from typing import Any, Literal

# pass: looked at and well; note: not measured, or good to know.
Level = Literal["promote", "pass", "note", "hold", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A finding; `level` is what it speaks for."""

    name: str
    level: Level
    sentence: str
    figures: dict[str, Any] = field(default_factory=dict)
