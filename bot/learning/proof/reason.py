"""One thing that a proof has found, as a sentence for a person and as figures."""

from dataclasses import dataclass, field
from typing import Any, Literal

# pass: looked at and well; note: not measured, or good to know.
Level = Literal["promote", "pass", "note", "hold", "refuse"]

# Among the figures of the frozen test set: the places of the texts that changed sides.
GAINED, LOST = "gained_at", "lost_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A finding; `level` is what it speaks for."""

    name: str
    level: Level
    sentence: str
    figures: dict[str, Any] = field(default_factory=dict)


def rounded_p(p_value: float) -> float:
    """A p-value for figures: three digits."""
    return float(f"{p_value:.3g}")


def shown_p(p_value: float) -> str:
    """A p-value for a sentence."""
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.1g}"
