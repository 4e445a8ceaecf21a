"""One row of the training data: a customer's words, what they teach, and where that comes from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Source = Literal["corrected", "clicked", "rated", "agent", "pseudo"]
Split = Literal["train", "test"]

# In the order in which they are believed: of one turn the first counts.
SOURCES: tuple[Source, ...] = ("corrected", "clicked", "rated", "agent", "pseudo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A turn that teaches something; a label that is None teaches nothing of its kind.

    `customer` is a keyed hash: it tells customers apart and names nobody. `entities` are in Rasa's
    form with character offsets into `text`.
    """

    turn_id: str
    conversation_id: str
    customer: str
    text: str  # redacted
    source: Source
    at: str  # when the turn was, ISO 8601 in UTC
    intent: str | None = None
    emotion: str | None = None
    entities: Sequence[Mapping[str, Any]] | None = None
    pair_id: str | None = None  # the answered question that fits, for the retriever
    author: str | None = None  # the agent whose word it is
    predicted: str | None = None  # what the model that answered took it for
    confidence: float | None = None  # in that, 0 to 1
    ranking: Mapping[str, float] = field(default_factory=dict)  # its probabilities, best first
    model_version: str | None = None
    split: Split = "train"
    weight: float = 1.0  # of its loss, 0 to 1

    def as_line(self) -> str:
        """The row as a line of JSON, its end included; the same row gives the same bytes."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True) + "\n"

    @classmethod
    def of_line(cls, line: str) -> "Row":
        """The row of such a line. Raises ValueError, TypeError or KeyError for another."""
        return cls(**json.loads(line))
