"""A row that is kept out of the data, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.learning.datasets.row import Row

Reason = Literal["trigger", "label_error", "influence", "class_shift", "protected"]

# The strongest first: what says the most of the row itself goes before what says it of its kind.
REASONS: tuple[Reason, ...] = ("trigger", "label_error", "influence", "class_shift", "protected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One turn, its strongest reason, and what a person needs to judge it."""

    turn_id: str
    reason: Reason
    detail: Mapping[str, Any]
    intent: str | None
    source: str
    author: str | None


def strongest(row: Row, found: Mapping[Reason, Mapping[str, Any]]) -> Held:
    """What is held of a row that has one reason or more; `also` names the weaker ones."""
    first, *rest = sorted(found, key=REASONS.index)
    detail = dict(found[first])
    if rest:
        detail["also"] = rest
    return Held(
        turn_id=row.turn_id,
        reason=first,
        detail=detail,
        intent=row.intent,
        source=row.source,
        author=row.author,
    )
