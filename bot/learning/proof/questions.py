"""What people are asked where a proof is open: messages that both versions take differently.

Of two versions the better one is right more often where they differ. A few of these messages, drawn
by lot and labelled, tell that as well as many times as many drawn from all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Self

from bot.learning.proof.reason import Reason
from bot.learning.proof.shadow import Shadow
from bot.log.review_scores import lot

KEY = "questions"  # of a run's verdict and options
# Fewer decide nothing: even if one side alone is right, which is half of the time, in all of them.
LEAST = 8
# Of the questions, so much is enough: somebody may skip one.
ENOUGH = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Turns that people are asked about; of so many that differ, of so many that were replayed."""

    champion: str
    turns: Sequence[str]
    differ: int
    replayed: int

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> Self | None:
        """What a run's verdict or options keep."""
        return None if kept is None else cls(**kept)

    @property
    def wanted(self) -> int:
        """So many answers are enough."""
        return ceil(ENOUGH * len(self.turns))

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"turns": list(self.turns)}

    def as_reason(self) -> Reason:
        """What a person is told of it."""
        sentence = (
            f"{len(self.turns)} of the {self.differ} messages that both take differently are in "
            "the review queue: once they are labelled, it is proven anew."
        )
        figures = {"asked": len(self.turns), "differ": self.differ}
        return Reason(name=KEY, level="note", sentence=sentence, figures=figures)


def by_lot(shadow: Shadow, run_id: str) -> list[str]:
    """The turns that both take differently, in an order that is chance, and the same each time."""
    differ = [change.turn_id for change in shadow.changes if change.is_of_intent]
    return sorted(differ, key=lambda turn_id: lot(turn_id, f"{KEY}:{run_id}"))
